"""Making and looking at guest root file systems: `octavo rootfs`. Not on the launch path."""
