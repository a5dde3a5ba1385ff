# $1 times: clone a local repository through the pack protocol, check it, repack it, check again. Run in an empty directory.
set -e
export HOME=$PWD GIT_AUTHOR_NAME=a GIT_AUTHOR_EMAIL=a@b GIT_COMMITTER_NAME=a GIT_COMMITTER_EMAIL=a@b
git init -q source
cd source
for i in 1 2 3 4 5 6 7 8; do
    cp /usr/share/perl/5.*.*/*.pm .
    echo "$i" > "f$i"
    git add -A
    git commit -qm "$i"
done
cd ..
i=0
while [ $i -lt "$1" ]; do
    git clone -q "file://$PWD/source" clone
    cd clone
    git fsck --full
    git gc -q
    git fsck --full
    echo "commits $(git log --oneline | wc -l) changed $(git status --short | wc -l)"
    cd ..
    rm -rf clone
    i=$((i+1))
done
