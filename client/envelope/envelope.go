// Package envelope encrypts what leaves this process for IPFS, so that a CID
// alone opens nothing: age files (https://age-encryption.org/v1) to a set of
// X25519 recipients. Both ways stream; memory does not grow with the plaintext.
//
// Errors begin with a stable code:
//
//	MF-ENVELOPE-RECIPIENT      a recipient is no age X25519 recipient, or there is none
//	MF-ENVELOPE-NOT-RECIPIENT  the ciphertext is not addressed to this identity
//	MF-ENVELOPE-CORRUPT        the ciphertext is damaged, forged or cut short
//	MF-ENVELOPE-IDENTITY       an identity file is missing, unreadable or no age identity
//	MF-ENVELOPE-EXPOSED        an identity file can be read by others
//	MF-ENVELOPE-WRITE          an identity file or a ciphertext cannot be written
package envelope

import (
	"bytes"
	"errors"
	"io"
	"slices"

	"filippo.io/age"
	"github.com/medfed/medfed/chaincode/codes"
)

// Sizes of an age v1 file with X25519 stanzas, in bytes: see the specification's
// header and payload sections.
const (
	headerLine  = 22       // "age-encryption.org/v1\n"
	stanza      = 54 + 44  // "-> X25519 <43>\n" and a body line of 43 characters
	footer      = 48       // "--- <43>\n"
	nonce       = 16       //
	chunk       = 64 << 10 // plaintext sealed under one tag
	tag         = 16       //
	emptyChunks = 1        // an empty plaintext still has one chunk
)

// SealedSize is the length in bytes of what [SealReader] gives for a plaintext of
// that many bytes and so many distinct recipients. A reader bounds a stranger's
// ciphertext with it.
func SealedSize(plain int64, recipients int) int64 {
	chunks := max(emptyChunks, (plain+chunk-1)/chunk)
	return headerLine + int64(recipients)*stanza + footer + nonce + plain + chunks*tag
}

// CheckRecipient reports whether s is an age X25519 recipient ("age1…"). The
// error is MF-ENVELOPE-RECIPIENT.
func CheckRecipient(s string) error {
	_, err := parseRecipient(s)
	return err
}

func parseRecipient(s string) (*age.X25519Recipient, error) {
	r, err := age.ParseX25519Recipient(s)
	if err != nil {
		return nil, codes.Wrapf("MF-ENVELOPE-RECIPIENT", "%q is no age X25519 recipient: %w; ask its owner for the line that begins with age1", s, err)
	}
	return r, nil
}

// parseRecipients drops doubles and refuses an empty set.
func parseRecipients(recipients []string) ([]age.Recipient, error) {
	if len(recipients) == 0 {
		return nil, codes.Errorf("MF-ENVELOPE-RECIPIENT", "there is nobody to encrypt to; name at least one recipient")
	}
	distinct := slices.Compact(slices.Sorted(slices.Values(recipients)))
	parsed := make([]age.Recipient, len(distinct))
	for i, s := range distinct {
		r, err := parseRecipient(s)
		if err != nil {
			return nil, err
		}
		parsed[i] = r
	}
	return parsed, nil
}

func seal(dst io.Writer, recipients []age.Recipient) (io.WriteCloser, error) {
	w, err := age.Encrypt(dst, recipients...)
	if err != nil {
		return nil, codes.Wrapf("MF-ENVELOPE-WRITE", "the ciphertext's header could not be written: %w; check the destination", err)
	}
	return w, nil
}

// SealReader gives the age file, which each of the recipients can open, of what src
// holds; doubled recipients count once. It is encrypted in chunks of 64 KiB while it
// is read, and [Open] refuses a file that was not read to its end. An error of src comes out unchanged, so a plaintext that could not be
// read whole never becomes a whole ciphertext. Close releases it before its end;
// src is read by those who read the result and by nobody else.
func SealReader(src io.Reader, recipients ...string) (io.ReadCloser, error) {
	parsed, err := parseRecipients(recipients)
	if err != nil {
		return nil, err
	}
	s := &sealing{src: src}
	if s.sealed, err = seal(&s.ready, parsed); err != nil {
		return nil, err
	}
	return s, nil
}

// sealing encrypts as much of src as is asked for.
type sealing struct {
	src    io.Reader
	sealed io.WriteCloser // writes to ready
	ready  bytes.Buffer   // ciphertext that nobody has read yet: the header, or a chunk or two
	plain  [chunk]byte
	err    error // what comes after ready
}

func (s *sealing) Read(p []byte) (int, error) {
	for s.ready.Len() == 0 && s.err == nil {
		s.err = s.step()
	}
	if s.ready.Len() == 0 && len(p) > 0 {
		return 0, s.err
	}
	return s.ready.Read(p)
}

// step encrypts what one read of src gives.
func (s *sealing) step() error {
	n, err := s.src.Read(s.plain[:])
	if _, failed := s.sealed.Write(s.plain[:n]); failed != nil {
		return failed
	}
	if err == io.EOF {
		if failed := s.sealed.Close(); failed != nil {
			return failed
		}
	}
	return err
}

// Close lets go of what was not read.
func (s *sealing) Close() error {
	s.ready.Reset()
	s.err = io.ErrClosedPipe
	return nil
}

// Open reads an age file's plaintext. Every chunk is authenticated before it is
// given out, but only the end of the file proves that nothing was cut off: act
// on the whole only after io.EOF. An error of src itself comes out unchanged;
// anything else wrong with the ciphertext is MF-ENVELOPE-CORRUPT or
// MF-ENVELOPE-NOT-RECIPIENT.
func Open(src io.Reader, identity *Identity) (io.Reader, error) {
	source := &watched{r: src}
	plain, err := age.Decrypt(source, identity.x25519)
	if err != nil {
		return nil, source.explain(err)
	}
	return &opened{plain: plain, source: source}, nil
}

// watched remembers the error of the reader below age, which age may reword.
type watched struct {
	r   io.Reader
	err error
}

func (w *watched) Read(p []byte) (int, error) {
	n, err := w.r.Read(p)
	if err != nil && err != io.EOF {
		w.err = err
	}
	return n, err
}

func (w *watched) explain(err error) error {
	var stranger *age.NoIdentityMatchError
	switch {
	case w.err != nil:
		return w.err
	case errors.As(err, &stranger):
		return codes.Errorf("MF-ENVELOPE-NOT-RECIPIENT", "the ciphertext is not addressed to this identity; use the identity it was encrypted to, or ask the sender to encrypt it again")
	default:
		return codes.Wrapf("MF-ENVELOPE-CORRUPT", "the ciphertext is damaged, forged or cut short: %w; fetch it again", err)
	}
}

type opened struct {
	plain  io.Reader
	source *watched
}

func (o *opened) Read(p []byte) (int, error) {
	n, err := o.plain.Read(p)
	if err != nil && err != io.EOF {
		err = o.source.explain(err)
	}
	return n, err
}
