# Forks, sockets, pipes, signals. One line per subject.
use strict;
use warnings;
use IO::Socket::INET;
use POSIX ":sys_wait_h";

$| = 1;

sub child {
    my ($work) = @_;
    my $pid = fork;
    die "fork: $!" unless defined $pid;
    return $pid if $pid;
    exit $work->();
}

my $server = IO::Socket::INET->new(Listen => 5, LocalAddr => "127.0.0.1", Proto => "tcp") or die "listen: $!";
my @children = map {
    my $number = $_;
    child(sub {
        my $peer = IO::Socket::INET->new(PeerAddr => "127.0.0.1", PeerPort => $server->sockport) or die "connect: $!";
        print $peer "hi $number\n";
        return <$peer> eq "ok $number\n" ? $number : 99;
    })
} 1 .. 5;
for (@children) {
    my $peer = $server->accept;
    <$peer> =~ /hi (\d+)/ or die;
    print $peer "ok $1\n";
}
my $sum = 0;
for (@children) { waitpid $_, 0; $sum += $? >> 8 }
print "sockets $sum\n";

pipe(my $reader, my $writer);
my $pid = child(sub { close $reader; print $writer "x" x 300000; 0 });
close $writer;
my $got = do { local $/; <$reader> };
waitpid $pid, 0;
print "pipe ", length $got, "\n";

my $reaped = 0;
$SIG{CHLD} = sub { $reaped++ while waitpid(-1, WNOHANG) > 0 };
child(sub { 0 }) for 1 .. 10;
my $start = time;
select(undef, undef, undef, .05) while $reaped < 10 && time - $start < 60;
$SIG{CHLD} = "DEFAULT";
print "reaped $reaped\n";

my $said = `echo out; exit 2`;
print "shell $said", "status ", $? >> 8, "\n";

eval { local $SIG{ALRM} = sub { die "alarm\n" }; alarm 1; sleep 60; 1 };
print $@;
