# The everyday tools on each other's output. Run in an empty directory; any failure ends it.
set -e
mkdir d
i=0
while [ $i -lt 50 ]; do echo "line $i" > d/f$i; i=$((i+1)); done
ln -s f1 d/symbolic; ln d/f1 d/hard; mkfifo d/pipe; chmod 600 d/f2
tar czf d.tgz d
mkdir x; tar xzf d.tgz -C x
test -p x/d/pipe; rm d/pipe x/d/pipe
diff -r --no-dereference d x/d
echo "mode $(stat -c %a x/d/f2)"
cp d.tgz copy; gzip -k9 copy; gunzip -c copy.gz | cmp - d.tgz
echo "sorted $(seq 1 20000 | sort -R | sort -n --parallel=4 -S 1M | tail -1)"
echo "found $(find d -type f -name 'f1*' -print0 | xargs -0 -P4 -n3 sha256sum | wc -l)"
find d -type f -name 'f4?' -exec sed -i 's/line/LINE/' {} +
echo "edited $(grep -l LINE d/* | wc -l)"
echo "sum $(cat d/f* | awk '{s+=$2} END{print s}')"
mkdir -p p/DEBIAN p/usr/share/p
printf 'Package: p\nVersion: 1\nArchitecture: all\nMaintainer: a <a@b>\nDescription: p\n' > p/DEBIAN/control
echo hi > p/usr/share/p/x
dpkg-deb --root-owner-group -b p p.deb
dpkg-deb -x p.deb unpacked
echo "package $(dpkg-deb -f p.deb Version) $(cat unpacked/usr/share/p/x)"
