package source

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/google/renameio/v2"

	"github.com/medfed/medfed/chaincode/codes"
)

// Bounds of a download.
const (
	downloadAttempts = 4
	firstPause       = time.Second      // doubled after every failure
	idleLimit        = 30 * time.Second // without a byte
	maxDownload      = 1 << 30          // bytes; the largest set has 206 MB

	briefIdle  = 10 * time.Second // of a brief download, without a byte
	briefLimit = time.Minute      // of a brief download, in all
)

// downloader fetches one file.
type downloader struct {
	info        Info
	url         string
	attempts    int
	pause, idle time.Duration
	limit       time.Duration // of all attempts together; 0 for none
	progress    func(done, total int64)
}

// download fetches the set into the cache and is its path. The file appears
// there whole and verified or not at all.
func download(ctx context.Context, info Info, opts Options) (string, error) {
	cache, err := opts.cache()
	if err != nil {
		return "", err
	}
	if err := os.MkdirAll(cache, 0o755); err != nil {
		return "", codes.Wrapf("MF-DATA-FOLDER", "cannot make the cache folder: %w; name another", err)
	}
	path := filepath.Join(cache, info.Name+".npz")
	return path, newDownloader(info, opts).fetch(ctx, path)
}

func newDownloader(info Info, opts Options) downloader {
	d := downloader{info: info, url: info.URL, attempts: downloadAttempts, pause: firstPause, idle: idleLimit, progress: opts.Progress}
	if opts.Brief {
		d.attempts, d.idle, d.limit = 1, briefIdle, briefLimit
	}
	if opts.Mirror != "" {
		d.url = strings.TrimSuffix(opts.Mirror, "/") + "/" + info.Name + ".npz"
	}
	return d
}

// fetch tries a bounded number of times.
func (d downloader) fetch(ctx context.Context, path string) error {
	if d.limit > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, d.limit, fmt.Errorf("%s took more than %v", d.url, d.limit))
		defer cancel()
	}
	pause := d.pause
	for attempt := 1; ; attempt++ {
		again, err := d.try(ctx, path)
		if err == nil || !again || attempt == d.attempts {
			return err
		}
		select {
		case <-ctx.Done():
			return d.failed(context.Cause(ctx))
		case <-time.After(pause):
		}
		pause *= 2
	}
}

// try makes one attempt: into a file beside path, verified, then renamed. It
// says whether a failure may pass by itself.
func (d downloader) try(ctx context.Context, path string) (again bool, err error) {
	part, err := renameio.TempFile(filepath.Dir(path), path)
	if err != nil {
		return false, unwritable(err)
	}
	defer part.Cleanup()
	if again, err := d.get(ctx, part); err != nil {
		return again, err
	}
	if _, err := part.Seek(0, io.SeekStart); err != nil {
		return false, unwritable(err)
	}
	sums, _, err := checksums(ctx, part)
	if err != nil {
		return false, d.failed(err)
	}
	if sums.md5 != d.info.MD5 {
		return true, checksumError(d.url, sums.md5, d.info)
	}
	if err := errors.Join(part.Chmod(0o644), part.CloseAtomicallyReplace()); err != nil {
		return false, unwritable(err)
	}
	return false, nil
}

// get writes what the server sends to out. The request ends when no byte came
// for the idle limit.
func (d downloader) get(ctx context.Context, out io.Writer) (again bool, err error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	idle := time.AfterFunc(d.idle, func() { cancel(fmt.Errorf("%s sent nothing for %v", d.url, d.idle)) })
	defer idle.Stop()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, d.url, nil)
	if err != nil {
		return false, d.failed(err)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return true, d.failed(becauseOf(ctx, err))
	}
	defer response.Body.Close()
	if code := response.StatusCode; code != http.StatusOK {
		passing := code >= 500 || code == http.StatusRequestTimeout || code == http.StatusTooManyRequests
		return passing, d.failed(fmt.Errorf("%s answered %s", d.url, response.Status))
	}
	body := &counted{r: response.Body, total: response.ContentLength, hear: d.progress, idle: idle, limit: d.idle}
	body.tell()
	n, err := io.Copy(onlyWriter{out}, io.LimitReader(body, maxDownload+1))
	switch {
	case body.err != nil:
		return true, d.failed(becauseOf(ctx, body.err))
	case err != nil:
		return false, unwritable(err)
	case n > maxDownload:
		return false, d.failed(fmt.Errorf("%s sends more than %d bytes", d.url, maxDownload))
	}
	return false, nil
}

func (d downloader) failed(err error) error {
	return codes.Wrapf("MF-DATA-DOWNLOAD", "%s.npz is not on this machine and could not be downloaded: %w; %s", d.info.Name, err, waysOut(d.info))
}

func unwritable(err error) error {
	return codes.Wrapf("MF-DATA-FOLDER", "cannot write to the cache folder: %w; make room or name another", err)
}

// becauseOf replaces a bare cancellation by its reason.
func becauseOf(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	return err
}

// onlyWriter hides a file's ReadFrom, so that read and write errors of io.Copy
// stay apart.
type onlyWriter struct{ io.Writer }

// counted is a body that tells how far it has been read and keeps its own error.
type counted struct {
	r           io.Reader
	done, total int64
	hear        func(done, total int64)
	idle        *time.Timer
	limit       time.Duration
	err         error // the body's error, other than its end
}

func (c *counted) Read(b []byte) (int, error) {
	n, err := c.r.Read(b)
	if n > 0 {
		c.idle.Reset(c.limit)
		c.done += int64(n)
		c.tell()
	}
	if err != nil && err != io.EOF {
		c.err = err
	}
	return n, err
}

func (c *counted) tell() {
	if c.hear != nil {
		c.hear(c.done, c.total)
	}
}
