package network

import (
	"syscall"

	"github.com/medfed/medfed/chaincode/codes"
)

// leastRoom is how many bytes must be free where the state folder lies: peers,
// orderers and IPFS nodes end, or refuse what they are sent, when they can't write.
const leastRoom = 64 << 20

// CheckRoom refuses a state folder whose disk is full. Codes: MF-NETWORK-DISK,
// MF-NETWORK-STATE.
func (n *Network) CheckRoom() error {
	if !n.made() {
		return nil
	}
	var disk syscall.Statfs_t
	if err := syscall.Statfs(n.state, &disk); err != nil {
		return n.stateError(err)
	}
	room := uint64(disk.Bavail) * uint64(disk.Bsize)
	if room >= leastRoom && (disk.Files == 0 || disk.Ffree > 0) {
		return nil
	}
	return codes.Errorf("MF-NETWORK-DISK", "the disk of %s is full: %d MiB and %d files are left, and servers that can't write end; make room outside of that folder, where every file is needed, or enlarge the disk, then run medfed network up: nothing that was confirmed is lost", n.state, room>>20, uint64(disk.Ffree))
}
