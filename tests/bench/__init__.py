"""`make bench`: Octavo beside qemu-user 10, in one run."""
