package session

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"github.com/medfed/medfed/chaincode/codes"
)

// Take makes this process the only one on its machine that takes part in a task as
// the identity in an MSP folder, until release or its end. A second process would
// spoil nothing, but do everything twice and look like one that works. A folder that
// can't be written is not guarded. Code: MF-NODE-RUNNING.
func Take(identity, task string) (release func(), err error) {
	file, err := os.OpenFile(filepath.Join(identity, "."+task+".lock"), os.O_CREATE|os.O_RDWR, 0o600)
	switch {
	case errors.Is(err, fs.ErrPermission) || errors.Is(err, syscall.EROFS):
		return func() {}, nil
	case err != nil:
		return nil, codes.Wrapf("MF-GATEWAY-IDENTITY", "the identity's folder %s can't be used: %w; name the folder of an enrolled identity", identity, err)
	}
	if err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		return nil, errors.Join(codes.Errorf("MF-NODE-RUNNING", "another process on this machine takes part in task %s as the identity of %s; stop that one first, or run this one as an identity of its own", task, identity), file.Close())
	}
	return func() { file.Close() }, nil
}
