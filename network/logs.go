package network

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/medfed/medfed/chaincode/codes"
)

// The servers know no rotation of their own: they write to the file that the command
// which started them has opened, and that command has ended. So one small process of
// the network keeps their logs within bounds, by what logrotate calls copytruncate: it
// copies what a log holds and empties it. That is safe because every log is open for
// appending; what a server writes in the instant between the two is lost.
const (
	logLimit    = 4 << 20          // bytes that a log may have before it is rotated, and its older part at most
	logInterval = 10 * time.Second // between looks at the logs
	olderPart   = ".1"             // after a log's name: what it held before
)

// rotationProcess is the process that keeps the logs within bounds.
func (n *Network) rotationProcess() *process {
	return &process{
		name: "log-rotation", host: loopback, program: "medfed",
		args: []string{"network", "rotate-logs", n.path("logs")},
		dir:  n.state, ports: map[string]string{},
		healthy: func(context.Context) error { return nil }, // it serves nobody
	}
}

// RotateLogs keeps the logs of a folder within bounds until the context ends, which is
// no error: a log of more than 4 MiB becomes its own older part, of which there is one.
// Code: MF-NETWORK-LOGS.
func RotateLogs(ctx context.Context, folder string) error {
	tick := time.NewTicker(logInterval)
	defer tick.Stop()
	for {
		logs, err := filepath.Glob(filepath.Join(folder, "*.log"))
		for _, log := range logs {
			err = errors.Join(err, rotate(log, logLimit))
		}
		if err != nil {
			return codes.Wrapf("MF-NETWORK-LOGS", "the logs in %s can't be rotated: %w; make the folder writable", folder, err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// rotate makes a log that is longer than it may be its own older part, or what of its
// end is as long as it may be. Where that can't be copied, as on a full disk, it is
// given up: what is written next has its place.
func rotate(path string, limit int64) error {
	log, err := os.OpenFile(path, os.O_RDWR, 0)
	if errors.Is(err, fs.ErrNotExist) { // it has been removed since it was listed
		return nil
	}
	if err != nil {
		return err
	}
	defer log.Close() // nothing is buffered
	size, err := log.Seek(0, io.SeekEnd)
	if err != nil || size <= limit {
		return err
	}
	if _, err := log.Seek(size-limit, io.SeekStart); err != nil {
		return err
	}
	older, err := os.OpenFile(path+olderPart, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err == nil {
		_, err = io.Copy(older, log)
		if err = errors.Join(err, older.Close()); err != nil {
			_ = os.Remove(path + olderPart)
		}
	}
	return log.Truncate(0)
}
