package load

// What statfs(2) calls file systems. The numbers are those of the kernel's
// linux/magic.h, and of the file systems' own sources where they are not in
// the kernel.

// network are file systems behind which another machine, or another process,
// answers: a page fault costs a round trip, and a failure is a fault. Many
// reads at a time are what they are fast at.
var network = map[uint32]bool{
	0x6969:     true, // NFS
	0xff534d42: true, // CIFS
	0xfe534d42: true, // SMB2
	0x517b:     true, // SMB
	0x65735546: true, // FUSE: sshfs, s3fs, gcsfuse, virtiofs …
	0x01021997: true, // 9P
	0x0bd00bd0: true, // Lustre
	0x00c36400: true, // Ceph
	0x47504653: true, // GPFS
	0x5346414f: true, // AFS
	0x6b414653: true, // AFS of the kernel
	0x73757245: true, // Coda
	0x7461636f: true, // OCFS2
	0x01161970: true, // GFS2
	0x19830326: true, // BeeGFS
	0x564c:     true, // NCP
	0xaad7aaea: true, // PanFS
	0x20030528: true, // OrangeFS
	0x786f4256: true, // folders that VirtualBox shares
	0xbacbacbc: true, // folders that VMware shares
}

// overlay is overlayfs, which containers have.
const overlay = 0x794c7630

// local are file systems whose disk is this machine's. What is in neither
// table is read the plain way.
var local = map[uint32]bool{
	0xef53:     true, // ext2, ext3, ext4
	0x58465342: true, // XFS
	0x9123683e: true, // Btrfs
	0xca451a4e: true, // bcachefs
	0xf2f52010: true, // F2FS
	0x2fc12fc1: true, // ZFS
	overlay:    true,
	0x01021994: true, // tmpfs
	0x858458f6: true, // ramfs
	0xe0f5e1e2: true, // EROFS
	0x73717368: true, // SquashFS
	0x3153464a: true, // JFS
	0x52654973: true, // ReiserFS
	0x3434:     true, // NILFS
	0x7366746e: true, // NTFS3
	0x2011bab0: true, // exFAT
	0x4d44:     true, // FAT
	0x9660:     true, // ISO 9660
	0x15013346: true, // UDF
}
