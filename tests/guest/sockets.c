/* Sockets: the life of stream and datagram sockets in three families, options, addresses, messages with
 * descriptors and credentials, name functions of the C library. */
#include "case.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stddef.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/un.h>

static struct sockaddr_in loopback(void) {
  return (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
}

static int listener(struct sockaddr_in *address) {
  socklen_t size = sizeof *address;
  int fd = MUST(socket(AF_INET, SOCK_STREAM, 0));
  *address = loopback();
  MUST(bind(fd, (struct sockaddr *)address, size));
  MUST(listen(fd, 5));
  MUST(getsockname(fd, (struct sockaddr *)address, &size));
  return fd;
}

CASE(creation) {
  outcome("inet", socket(AF_INET, SOCK_STREAM, 0));
  outcome("inet6 family", socket(AF_INET6, SOCK_DGRAM, 0) >= 0 || errno == EAFNOSUPPORT ? 0 : -1);
  int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  outcome("unix", fd);
  show("flags", "%d %d", !!(fcntl(fd, F_GETFL) & O_NONBLOCK), fcntl(fd, F_GETFD));
  outcome("bad family", socket(99, SOCK_STREAM, 0));
  outcome("bad type", socket(AF_INET, 9, 0));
  outcome("bad protocol", socket(AF_INET, SOCK_STREAM, IPPROTO_UDP));
}

CASE(pairs) {
  int ends[2];
  char text[32] = "";
  outcome("stream", socketpair(AF_UNIX, SOCK_STREAM, 0, ends));
  number("write", write(ends[0], "abcdef", 6));
  number("read", read(ends[1], text, 3));
  number("peek", recv(ends[1], text, 3, MSG_PEEK));
  show("text", "%.3s", text);
  number("rest", recv(ends[1], text, sizeof text, 0));
  outcome("nothing", recv(ends[1], text, 1, MSG_DONTWAIT));
  outcome("shutdown", shutdown(ends[0], SHUT_WR));
  number("end", read(ends[1], text, 1));
  outcome("write after", send(ends[0], "x", 1, MSG_NOSIGNAL));
  outcome("datagram", socketpair(AF_UNIX, SOCK_DGRAM, 0, ends));
  MUST(send(ends[0], "one", 3, 0));
  MUST(send(ends[0], "two", 3, 0));
  number("first", recv(ends[1], text, 2, MSG_TRUNC));
  number("second", recv(ends[1], text, sizeof text, 0));
  outcome("seqpacket", socketpair(AF_UNIX, SOCK_SEQPACKET, 0, ends));
  outcome("inet pair", socketpair(AF_INET, SOCK_STREAM, 0, ends));
}

CASE(stream) {
  struct sockaddr_in address, peer;
  int server = listener(&address);
  pid_t pid = start();
  if (pid == 0) {
    int fd = MUST(socket(AF_INET, SOCK_STREAM, 0));
    MUST(connect(fd, (struct sockaddr *)&address, sizeof address));
    MUST(write(fd, "hello", 5));
    char reply[8] = "";
    MUST(read(fd, reply, sizeof reply));
    _exit(reply[0]);
  }
  socklen_t size = sizeof peer;
  int fd = accept4(server, (struct sockaddr *)&peer, &size, SOCK_CLOEXEC);
  outcome("accept", fd);
  show("peer", "%d %d %d", peer.sin_family == AF_INET, size == sizeof peer, peer.sin_addr.s_addr == htonl(INADDR_LOOPBACK));
  number("cloexec", fcntl(fd, F_GETFD));
  char text[8] = "";
  number("read", recv(fd, text, 5, MSG_WAITALL));
  show("text", "%s", text);
  number("reply", write(fd, "R", 1));
  status("client", finish(pid));
  number("end", read(fd, text, 1));
  struct sockaddr_in again;
  size = sizeof again;
  outcome("getpeername", getpeername(fd, (struct sockaddr *)&again, &size));
  yes("same peer", again.sin_port == peer.sin_port);
}

CASE(connecting) {
  struct sockaddr_in address;
  int server = listener(&address), fd = MUST(socket(AF_INET, SOCK_STREAM, 0));
  close(server);
  outcome("refused", connect(fd, (struct sockaddr *)&address, sizeof address));
  server = listener(&address);
  fd = MUST(socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0));
  int result = connect(fd, (struct sockaddr *)&address, sizeof address);
  yes("nonblocking", result == 0 || errno == EINPROGRESS);
  struct pollfd wanted = {fd, POLLOUT, 0};
  number("poll", poll(&wanted, 1, 3000));
  int error = -1;
  socklen_t size = sizeof error;
  outcome("error option", getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size));
  returned("error", error);
  outcome("again", connect(fd, (struct sockaddr *)&address, sizeof address) == -1 && errno == EISCONN ? 0 : -1);
  outcome("bind twice", bind(server, (struct sockaddr *)&address, sizeof address));
  int other = MUST(socket(AF_INET, SOCK_STREAM, 0));
  outcome("in use", bind(other, (struct sockaddr *)&address, sizeof address));
  outcome("short address", bind(other, (struct sockaddr *)&address, 3));
  outcome("not connected", getpeername(other, (struct sockaddr *)&address, &size));
  outcome("listen of datagram", listen(socket(AF_INET, SOCK_DGRAM, 0), 1));
  outcome("not a socket", listen(0, 1));
  outcome("bad pointer", connect(other, pointer(8), sizeof address));
}

CASE(datagrams) {
  struct sockaddr_in address = loopback(), from;
  socklen_t size = sizeof address;
  int receiver = MUST(socket(AF_INET, SOCK_DGRAM, 0)), sender = MUST(socket(AF_INET, SOCK_DGRAM, 0));
  MUST(bind(receiver, (struct sockaddr *)&address, size));
  MUST(getsockname(receiver, (struct sockaddr *)&address, &size));
  number("sendto", sendto(sender, "datagram", 8, 0, (struct sockaddr *)&address, size));
  char text[32] = "";
  number("recvfrom", recvfrom(receiver, text, sizeof text, 0, (struct sockaddr *)&from, &size));
  show("text", "%s", text);
  yes("from", from.sin_family == AF_INET && from.sin_addr.s_addr == htonl(INADDR_LOOPBACK) && from.sin_port != 0);
  number("empty", sendto(sender, "", 0, 0, (struct sockaddr *)&address, size));
  number("empty received", recv(receiver, text, sizeof text, 0));
  outcome("connect", connect(sender, (struct sockaddr *)&address, size));
  number("send", send(sender, "x", 1, 0));
  int waiting = 0;
  outcome("FIONREAD", ioctl(receiver, FIONREAD, &waiting));
  number("waiting", waiting);
  outcome("no address", sendto(receiver, "x", 1, 0, NULL, 0));
}

CASE(unix_addresses) {
  struct sockaddr_un address = {.sun_family = AF_UNIX, .sun_path = "socket"}, found;
  int server = MUST(socket(AF_UNIX, SOCK_STREAM, 0)), client = MUST(socket(AF_UNIX, SOCK_STREAM, 0));
  outcome("bind", bind(server, (struct sockaddr *)&address, sizeof address));
  outcome("exists", bind(client, (struct sockaddr *)&address, sizeof address));
  outcome("not listening", connect(client, (struct sockaddr *)&address, sizeof address));
  MUST(listen(server, 1));
  outcome("connect", connect(client, (struct sockaddr *)&address, sizeof address));
  socklen_t size = sizeof found;
  memset(&found, 0, sizeof found);
  outcome("getsockname", getsockname(server, (struct sockaddr *)&found, &size));
  show("name", "%s %d", found.sun_path, (int)(size - offsetof(struct sockaddr_un, sun_path)));
  size = sizeof found;
  outcome("unnamed", getsockname(client, (struct sockaddr *)&found, &size));
  number("its size", (long)(size - offsetof(struct sockaddr_un, sun_path)));
  int accepted = MUST(accept(server, NULL, NULL));
  struct ucred who;
  size = sizeof who;
  outcome("credentials", getsockopt(accepted, SOL_SOCKET, SO_PEERCRED, &who, &size));
  yes("ours", who.pid == getpid() && who.uid == geteuid() && who.gid == getegid());
  strcpy(address.sun_path, "absent");
  outcome("missing", connect(MUST(socket(AF_UNIX, SOCK_STREAM, 0)), (struct sockaddr *)&address, sizeof address));
  int hidden = MUST(socket(AF_UNIX, SOCK_DGRAM, 0));
  snprintf(address.sun_path, sizeof address.sun_path, "%coctavo-test-%d", 0, getpid());
  outcome("abstract", bind(hidden, (struct sockaddr *)&address, offsetof(struct sockaddr_un, sun_path) + 20));
}

CASE(options) {
  int fd = MUST(socket(AF_INET, SOCK_STREAM, 0)), value = 1;
  socklen_t size = sizeof value;
  outcome("reuse", setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &value, size));
  value = 0;
  MUST(getsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &value, &size));
  show("reuse is", "%d %d", value, (int)size);
  MUST(getsockopt(fd, SOL_SOCKET, SO_TYPE, &value, &size));
  yes("type", value == SOCK_STREAM);
  MUST(getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &value, &size));
  yes("domain", value == AF_INET);
  MUST(getsockopt(fd, SOL_SOCKET, SO_PROTOCOL, &value, &size));
  yes("protocol", value == IPPROTO_TCP);
  value = 30000;
  outcome("send buffer", setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &value, sizeof value));
  MUST(getsockopt(fd, SOL_SOCKET, SO_SNDBUF, &value, &size));
  number("doubled", value);
  struct linger linger = {1, 7}, found;
  outcome("linger", setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof linger));
  size = sizeof found;
  MUST(getsockopt(fd, SOL_SOCKET, SO_LINGER, &found, &size));
  show("linger is", "%d %d", found.l_onoff, found.l_linger);
  struct timeval time = {2, 500000}, time_found;
  outcome("receive timeout", setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &time, sizeof time));
  size = sizeof time_found;
  MUST(getsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &time_found, &size));
  show("timeout is", "%ld.%06ld", (long)time_found.tv_sec, (long)time_found.tv_usec);
  value = 1;
  outcome("nodelay", setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &value, sizeof value));
  outcome("keepalive", setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &value, sizeof value));
  value = 77;
  outcome("ttl", setsockopt(fd, IPPROTO_IP, IP_TTL, &value, sizeof value));
  size = sizeof value;
  MUST(getsockopt(fd, IPPROTO_IP, IP_TTL, &value, &size));
  number("ttl is", value);
  outcome("unknown option", setsockopt(fd, SOL_SOCKET, 9999, &value, sizeof value));
  outcome("unknown level", getsockopt(fd, 999, 1, &value, &size));
  outcome("short value", setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &value, 1));
}

CASE(receive_timeout) {
  int ends[2];
  char byte;
  struct timeval time = {0, 30000};
  MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, ends));
  MUST(setsockopt(ends[0], SOL_SOCKET, SO_RCVTIMEO, &time, sizeof time));
  outcome("read", read(ends[0], &byte, 1));
}

CASE(pass_descriptors) {
  int ends[2], pipes[2], fds[2] = {-1, -1};
  MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, ends));
  MUST(pipe(pipes));
  union {
    char bytes[CMSG_SPACE(2 * sizeof(int))];
    struct cmsghdr header;
  } control = {.bytes = {0}};
  struct iovec vector = {"d", 1};
  struct msghdr message = {.msg_iov = &vector, .msg_iovlen = 1, .msg_control = control.bytes, .msg_controllen = sizeof control.bytes};
  struct cmsghdr *header = CMSG_FIRSTHDR(&message);
  header->cmsg_level = SOL_SOCKET;
  header->cmsg_type = SCM_RIGHTS;
  header->cmsg_len = CMSG_LEN(2 * sizeof(int));
  memcpy(CMSG_DATA(header), pipes, sizeof pipes);
  number("sendmsg", sendmsg(ends[0], &message, 0));
  char byte = 0;
  vector = (struct iovec){&byte, 1};
  memset(control.bytes, 0, sizeof control.bytes);
  message.msg_controllen = sizeof control.bytes;
  number("recvmsg", recvmsg(ends[1], &message, MSG_CMSG_CLOEXEC));
  header = CMSG_FIRSTHDR(&message);
  yes("has control", header != NULL && header->cmsg_type == SCM_RIGHTS && header->cmsg_len == CMSG_LEN(2 * sizeof(int)));
  if (header == NULL) return;
  memcpy(fds, CMSG_DATA(header), sizeof fds);
  yes("new", fds[0] > pipes[1] && fds[1] > fds[0]);
  number("cloexec", fcntl(fds[0], F_GETFD));
  MUST(write(fds[1], "p", 1));
  number("same pipe", read(pipes[0], &byte, 1));
  show("flags", "%d %d", !!(message.msg_flags & MSG_CTRUNC), !!(message.msg_flags & MSG_TRUNC));
}

CASE(pass_credentials) {
  int ends[2], on = 1;
  MUST(socketpair(AF_UNIX, SOCK_DGRAM, 0, ends));
  outcome("ask", setsockopt(ends[1], SOL_SOCKET, SO_PASSCRED, &on, sizeof on));
  MUST(send(ends[0], "c", 1, 0));
  union {
    char bytes[256];
    struct cmsghdr header;
  } control;
  char byte;
  struct iovec vector = {&byte, 1};
  struct msghdr message = {.msg_iov = &vector, .msg_iovlen = 1, .msg_control = control.bytes, .msg_controllen = sizeof control.bytes};
  number("recvmsg", recvmsg(ends[1], &message, 0));
  struct cmsghdr *header = CMSG_FIRSTHDR(&message);
  yes("type", header != NULL && header->cmsg_level == SOL_SOCKET && header->cmsg_type == SCM_CREDENTIALS);
  if (header == NULL) return;
  struct ucred who;
  memcpy(&who, CMSG_DATA(header), sizeof who);
  yes("ours", who.pid == getpid() && who.uid == getuid() && who.gid == getgid());
  message.msg_controllen = 4;
  MUST(send(ends[0], "c", 1, 0));
  MUST(recvmsg(ends[1], &message, 0));
  yes("control truncated", !!(message.msg_flags & MSG_CTRUNC));
}

CASE(message_vectors) {
  int ends[2];
  MUST(socketpair(AF_UNIX, SOCK_DGRAM, 0, ends));
  struct iovec parts[2] = {{"first", 5}, {"second", 6}};
  struct mmsghdr many[2] = {{.msg_hdr = {.msg_iov = parts, .msg_iovlen = 2}}, {.msg_hdr = {.msg_iov = parts + 1, .msg_iovlen = 1}}};
  number("sendmmsg", sendmmsg(ends[0], many, 2, 0));
  show("sent", "%u %u", many[0].msg_len, many[1].msg_len);
  char text[3][16] = {"", "", ""};
  struct iovec in[3];
  struct mmsghdr received[3];
  memset(received, 0, sizeof received);
  for (int i = 0; i < 3; i++) {
    in[i] = (struct iovec){text[i], 15};
    received[i].msg_hdr.msg_iov = &in[i];
    received[i].msg_hdr.msg_iovlen = 1;
  }
  number("recvmmsg", recvmmsg(ends[1], received, 3, MSG_DONTWAIT, NULL));
  show("received", "%u %s %u %s", received[0].msg_len, text[0], received[1].msg_len, text[1]);
}

CASE(address_text) {
  struct in6_addr six;
  char text[64];
  number("pton", inet_pton(AF_INET6, "2001:db8::1:2", &six));
  show("ntop", "%s", inet_ntop(AF_INET6, &six, text, sizeof text));
  show("bytes", "%02x%02x %02x", six.s6_addr[0], six.s6_addr[1], six.s6_addr[15]);
  show("four", "%s", inet_ntoa((struct in_addr){htonl(0x7f000001)}));
  show("order", "%x %x", ntohs(htons(0x1234)), ntohl(htonl(0x12345678)));
  yes("lo", if_nametoindex("lo") > 0);
  show("its name", "%s", if_indextoname(if_nametoindex("lo"), text) != NULL ? text : "none");
}

CASE(interfaces) {
  int fd = MUST(socket(AF_INET, SOCK_DGRAM, 0));
  struct ifreq request;
  memset(&request, 0, sizeof request);
  strcpy(request.ifr_name, "lo");
  outcome("flags", ioctl(fd, SIOCGIFFLAGS, &request));
  yes("loopback", !!(request.ifr_flags & IFF_LOOPBACK));
  outcome("index", ioctl(fd, SIOCGIFINDEX, &request));
  yes("same index", request.ifr_ifindex == (int)if_nametoindex("lo"));
  struct ifaddrs *list = NULL;
  outcome("getifaddrs", getifaddrs(&list));
  int found = 0;
  for (struct ifaddrs *each = list; each != NULL; each = each->ifa_next) found += strcmp(each->ifa_name, "lo") == 0;
  yes("has lo", found > 0);
}
