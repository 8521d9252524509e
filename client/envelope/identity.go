package envelope

import (
	"bytes"
	"crypto/hkdf"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"filippo.io/age"
	"github.com/google/renameio/v2"

	"github.com/medfed/medfed/chaincode/codes"
)

// Identity is an age X25519 key pair: what opens the envelopes addressed to it.
type Identity struct{ x25519 *age.X25519Identity }

// NewIdentity makes a fresh key pair that is stored nowhere.
func NewIdentity() (*Identity, error) {
	x, err := age.GenerateX25519Identity()
	if err != nil {
		return nil, codes.Wrapf("MF-ENVELOPE-IDENTITY", "no key could be made: %w; check the system's random source", err)
	}
	return &Identity{x25519: x}, nil
}

// Recipient is the public half, "age1…": what others encrypt to.
func (i *Identity) Recipient() string { return i.x25519.Recipient().String() }

// Secret derives 32 bytes from the private half for one purpose (HKDF-SHA256,
// RFC 5869, with the purpose as info). Different purposes give independent
// secrets, and none of them tells anything of the key.
func (i *Identity) Secret(purpose string) []byte {
	secret, err := hkdf.Key(sha256.New, []byte(i.x25519.String()), nil, "medfed "+purpose, sha256.Size)
	if err != nil {
		panic(err) // only a length beyond RFC 5869's limit
	}
	return secret
}

// LoadIdentity reads an identity file as age-keygen writes it: one
// AGE-SECRET-KEY-1… line, comments allowed. A file that others can read is
// refused with MF-ENVELOPE-EXPOSED, anything else wrong is MF-ENVELOPE-IDENTITY.
func LoadIdentity(path string) (*Identity, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, codes.Wrapf("MF-ENVELOPE-IDENTITY", "the identity file cannot be read: %w; name the right file", err)
	}
	if info.Mode().Perm()&0o077 != 0 {
		return nil, codes.Errorf("MF-ENVELOPE-EXPOSED", "identity file %s has mode %04o, so others can read it; chmod 600 it: who has read it can open what was encrypted to it, and a new key does not change that", path, info.Mode().Perm())
	}
	content, err := os.ReadFile(path)
	if err != nil {
		return nil, codes.Wrapf("MF-ENVELOPE-IDENTITY", "the identity file cannot be read: %w; check its owner and mode", err)
	}
	return parseIdentity(path, content)
}

func parseIdentity(path string, content []byte) (*Identity, error) {
	found, err := age.ParseIdentities(bytes.NewReader(content))
	if err != nil {
		// age's words may quote the line, which is the secret: they are not passed on.
		return nil, codes.Errorf("MF-ENVELOPE-IDENTITY", "%s holds no age identity; restore it from its copy: no other key opens what was encrypted to it, and a node can't go on in a task with another", path)
	}
	if len(found) != 1 {
		return nil, codes.Errorf("MF-ENVELOPE-IDENTITY", "%s holds %d identities; leave one", path, len(found))
	}
	x, ok := found[0].(*age.X25519Identity)
	if !ok {
		return nil, codes.Errorf("MF-ENVELOPE-IDENTITY", "%s holds no X25519 identity; name a file with one, as age-keygen and medfed write it", path)
	}
	return &Identity{x25519: x}, nil
}

// LoadOrCreateIdentity reads the identity file, or makes it when there is none:
// mode 0600, whole or not at all, never over an existing one. Of several
// processes that race to make it one wins and all return the winner's.
func LoadOrCreateIdentity(path string) (*Identity, error) {
	identity, err := LoadIdentity(path)
	if !errors.Is(err, fs.ErrNotExist) {
		return identity, err
	}
	if identity, err = NewIdentity(); err != nil {
		return nil, err
	}
	err = CreateExclusive(path, fmt.Appendf(nil, "# public key: %s\n%s\n", identity.Recipient(), identity.x25519))
	if errors.Is(err, fs.ErrExist) {
		return LoadIdentity(path)
	}
	if err != nil {
		return nil, codes.Wrapf("MF-ENVELOPE-WRITE", "the identity file cannot be made: %w; check that its folder exists and can be written", err)
	}
	return identity, nil
}

// CreateExclusive makes a file of mode 0600 for what is secret: whole and on the disk, or
// not at all. It is written beside path and linked into place, which fails with
// fs.ErrExist rather than replace anything.
func CreateExclusive(path string, content []byte) error {
	temporary, err := renameio.TempFile(filepath.Dir(path), path) // mode 0600 whatever the umask
	if err != nil {
		return err
	}
	defer temporary.Cleanup()
	if _, err := temporary.Write(content); err != nil {
		return err
	}
	if err := temporary.Sync(); err != nil {
		return err
	}
	return os.Link(temporary.Name(), path)
}
