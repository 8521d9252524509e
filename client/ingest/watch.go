package ingest

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"time"

	"github.com/fsnotify/fsnotify"

	"github.com/medfed/medfed/chaincode/codes"
)

// observed is a file as it was last seen.
type observed struct {
	info    os.FileInfo
	since   time.Time // when it was first seen so
	handled bool      // ingested, known, or refused for good as it is
	round   int       // last look that found it
}

// Run ingests what is in the folder and what comes into it, until ctx ends. A
// file that can't be ingested is reported and tried again when it changes; while
// IPFS or the ledger can't be reached, at every rescan. The error is that of ctx,
// or MF-INGEST-FOLDER or MF-INGEST-JOURNAL.
func (i *Ingester) Run(ctx context.Context) error {
	watcher, err := fsnotify.NewWatcher()
	if err != nil {
		return codes.Wrapf("MF-INGEST-FOLDER", "the folder can't be watched: %w; raise the system's limit of watches", err)
	}
	defer watcher.Close()
	rescan := time.NewTicker(i.options.Rescan)
	defer rescan.Stop()
	look := time.NewTimer(0)
	defer look.Stop()
	due := true // a look is due: further events do not put it off
	for round := 1; ; {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-watcher.Events:
			if !due {
				look.Reset(i.options.Settle)
			}
			due = true
		case <-watcher.Errors: // events were lost: the next look finds what they were about
			look.Reset(0)
			due = true
		case <-rescan.C:
			look.Reset(0)
			due = true
		case <-look.C:
			pending, err := i.scan(ctx, round, watcher.Add)
			if err != nil {
				return err
			}
			if due = pending > 0; due {
				look.Reset(i.options.Settle)
			}
			round++
		}
	}
}

// Once ingests what is in the folder and returns when every file in it is
// ingested or refused. The error is the first refusal's that a repetition could
// overcome, or as Run's.
func (i *Ingester) Once(ctx context.Context) error {
	var first error
	report := i.options.Report
	defer func() { i.options.Report = report }()
	i.options.Report = func(r Result) {
		if r.Err != nil && !final(r.Err) && first == nil {
			first = r.Err
		}
		if report != nil {
			report(r)
		}
	}
	for round := 1; ; round++ {
		pending, err := i.scan(ctx, round, func(string) error { return nil })
		if err != nil || first != nil || pending == 0 {
			return errors.Join(err, first)
		}
		wait := time.NewTimer(i.options.Settle)
		select {
		case <-ctx.Done():
			wait.Stop()
			return ctx.Err()
		case <-wait.C:
		}
	}
}

// scan looks through the folder once: it finishes what was begun, ingests what is
// finished and gives the number of files that are not. Watch is told every folder.
func (i *Ingester) scan(ctx context.Context, round int, watch func(string) error) (pending int, err error) {
	if err := i.resume(ctx); err != nil {
		if codes.Of(err) == "MF-INGEST-JOURNAL" || ctx.Err() != nil {
			return 0, err
		}
		i.report(Result{Err: err}) // store or ledger are away: what is new waits too
		return 0, nil
	}
	whole := true
	err = fs.WalkDir(i.folder.FS(), ".", func(name string, entry fs.DirEntry, err error) error {
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case errors.Is(err, fs.ErrNotExist):
			return nil
		case err != nil && name == ".":
			return unreadable(err)
		case err != nil:
			i.report(Result{Path: name, Err: unreadable(err)})
			return nil
		case name != "." && ignored(name) && entry.IsDir():
			return fs.SkipDir
		case entry.IsDir():
			if err := watch(filepath.Join(i.options.Folder, filepath.FromSlash(name))); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return codes.Wrapf("MF-INGEST-FOLDER", "a folder can't be watched: %w; raise the system's limit of watches", err)
			}
			return nil
		case !entry.Type().IsRegular() || ignored(name):
			return nil
		}
		unfinished, err := i.look(ctx, round, name)
		if unfinished {
			pending++
		}
		whole = whole && err == nil
		return err
	})
	for name, seen := range i.files {
		if gone := seen.round != round; gone && whole {
			delete(i.files, name)
		}
	}
	return pending, err
}

// look ingests a file when it is finished. It reports whether it is not finished yet.
func (i *Ingester) look(ctx context.Context, round int, name string) (unfinished bool, err error) {
	info, err := i.folder.Lstat(name)
	if err != nil || !info.Mode().IsRegular() {
		return false, nil // gone since, or replaced
	}
	seen := i.files[name]
	if seen == nil || !sameFile(seen.info, info) {
		seen = &observed{info: info, since: i.now()}
		i.files[name] = seen
	}
	seen.round = round
	if seen.handled {
		return false, nil
	}
	if !i.finished(seen) {
		return true, nil
	}
	result, news := i.ingest(ctx, name, info)
	if ctx.Err() != nil {
		return false, ctx.Err()
	}
	if news {
		i.report(result)
	}
	seen.handled = result.Err == nil || final(result.Err)
	if result.Err == nil || strings.HasPrefix(string(codes.Of(result.Err)), "MF-INGEST-") {
		if result.Err != nil && codes.Of(result.Err) == "MF-INGEST-JOURNAL" {
			return false, result.Err
		}
		return false, nil
	}
	return false, fs.SkipAll // store or ledger are away: what else is new waits too
}

// finished reports whether a file has stayed as it is for long enough: since it was
// seen first, or, where it was renamed into place or is older, since it was
// written.
func (i *Ingester) finished(seen *observed) bool {
	settled := i.now().Add(-i.options.Settle)
	return !seen.since.After(settled) || !seen.info.ModTime().After(settled)
}

// final reports whether only a change of the file can overcome a refusal.
func final(err error) bool { return codes.Of(err) == "MF-INGEST-TYPE" }

// ignored reports whether a name is one that programs give to what they are still
// writing, or hidden.
func ignored(name string) bool {
	name = path.Base(name)
	return strings.HasPrefix(name, ".") || strings.HasSuffix(name, "~") ||
		strings.HasSuffix(name, ".tmp") || strings.HasSuffix(name, ".part") || strings.HasSuffix(name, ".partial")
}
