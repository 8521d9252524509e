package dataset

import (
	"context"
	"io/fs"

	"golang.org/x/sync/errgroup"

	"github.com/medfed/medfed/chaincode/codes"
)

// Unread is images that are still in the files of a folder. Their digests are known: a file
// that has changed since is refused.
type Unread struct {
	folder  fs.FS
	images  []entry
	options FolderOptions
}

// leave makes the images of each part its Unread.
func (f *Folder) leave(all []entry, folder fs.FS, o FolderOptions) {
	o.Unread = false
	for _, e := range all {
		if e.err != nil {
			continue
		}
		split := f.part(e.part)
		if split.Values = nil; split.Unread == nil {
			split.Unread = &Unread{folder: folder, options: o}
		}
		split.Unread.images = append(split.Unread.images, e)
	}
}

func (u *Unread) selected(indices []int) *Unread {
	if u == nil {
		return nil
	}
	out := &Unread{folder: u.folder, options: u.options}
	for _, i := range indices {
		out.images = append(out.images, u.images[i])
	}
	return out
}

// Digest tells what an image will be read as: the content of its file, and all that says
// how it becomes numbers. Images of one digest have the same values.
func (u *Unread) Digest(i int) string { return u.images[i].digest + "\n" + u.options.way() }

// Read reads some images, one after another. The error is MF-DATA-IMAGE and names the
// file, or wraps ctx.Err().
func (u *Unread) Read(ctx context.Context, some []int) ([]float32, error) {
	length := u.options.Size * u.options.Size * u.options.Channels
	values := make([]float32, len(some)*length)
	workers, ctx := errgroup.WithContext(ctx)
	for k, i := range some {
		workers.Go(func() error {
			e := u.images[i]
			decoded, err := e.decode(ctx, u.folder, u.options, nil)
			if err != nil {
				return codes.Wrapf("MF-DATA-IMAGE", "%s cannot be used: %w; repair it or take it out of the data set, or have bad files skipped (--skip-bad-images)", e.path, err)
			}
			copy(values[k*length:], decoded)
			return nil
		})
	}
	return values, workers.Wait()
}
