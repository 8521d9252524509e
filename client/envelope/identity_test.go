package envelope_test

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/medfed/medfed/client/envelope"
)

func TestIdentityFileIsMadeOnceAndPrivate(t *testing.T) {
	folder := t.TempDir()
	path := filepath.Join(folder, "age.key")
	var wg sync.WaitGroup
	recipients := make([]string, 8)
	for i := range recipients {
		wg.Go(func() {
			identity, err := envelope.LoadOrCreateIdentity(path)
			if err != nil {
				t.Error(err)
				return
			}
			recipients[i] = identity.Recipient()
		})
	}
	wg.Wait()
	for _, r := range recipients {
		if r != recipients[0] {
			t.Fatalf("two identities: %v", recipients)
		}
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Fatalf("mode %v, %v", info.Mode(), err)
	}
	left, err := os.ReadDir(folder)
	if err != nil || len(left) != 1 {
		t.Fatalf("left beside it: %v, %v", left, err)
	}
}

// restoreIdentity does what the refusals say: with the copy in its place, readable
// by its owner only, the identity is the one it was.
func restoreIdentity(t *testing.T, path string) {
	t.Helper()
	kept := filepath.Join(t.TempDir(), "copy")
	before, err := envelope.LoadOrCreateIdentity(kept)
	if err != nil {
		t.Fatal(err)
	}
	content, err := os.ReadFile(kept)
	if err != nil {
		t.Fatal(err)
	}
	for _, err := range []error{os.WriteFile(path, content, 0o600), os.Chmod(path, 0o600)} {
		if err != nil {
			t.Fatal(err)
		}
	}
	if after, err := envelope.LoadOrCreateIdentity(path); err != nil || after.Recipient() != before.Recipient() {
		t.Errorf("restored from its copy: %v", err)
	}
}

func TestIdentityFilesThatAreRefused(t *testing.T) {
	for name, c := range map[string]struct {
		content string
		mode    os.FileMode
		code    string
	}{
		"empty":          {"", 0o600, "MF-ENVELOPE-IDENTITY"},
		"garbage":        {"AGE-SECRET-KEY-1SECRETSECRET\n", 0o600, "MF-ENVELOPE-IDENTITY"},
		"group-readable": {"", 0o640, "MF-ENVELOPE-EXPOSED"},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "age.key")
			if err := os.WriteFile(path, []byte(c.content), 0o600); err != nil {
				t.Fatal(err)
			}
			if err := os.Chmod(path, c.mode); err != nil { // whatever the umask is
				t.Fatal(err)
			}
			_, err := envelope.LoadOrCreateIdentity(path)
			if err == nil || !strings.HasPrefix(err.Error(), c.code+":") {
				t.Fatalf("%v, want %s", err, c.code)
			}
			if strings.Contains(err.Error(), "SECRETSECRET") {
				t.Errorf("the error tells the secret: %v", err)
			}
			if after, _ := os.ReadFile(path); string(after) != c.content {
				t.Errorf("the file was touched")
			}
			restoreIdentity(t, path)
		})
	}
	_, err := envelope.LoadIdentity(filepath.Join(t.TempDir(), "none"))
	wantCode(t, err, "MF-ENVELOPE-IDENTITY")
	_, err = envelope.LoadOrCreateIdentity(filepath.Join(t.TempDir(), "no-folder", "age.key"))
	wantCode(t, err, "MF-ENVELOPE-WRITE")
}

func TestSecretsArePerPurposeAndStable(t *testing.T) {
	path := filepath.Join(t.TempDir(), "age.key")
	a, err := envelope.LoadOrCreateIdentity(path)
	if err != nil {
		t.Fatal(err)
	}
	b, err := envelope.LoadOrCreateIdentity(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(a.Secret("salts"), b.Secret("salts")) {
		t.Error("a restart changes the secret")
	}
	if bytes.Equal(a.Secret("salts"), a.Secret("other")) || bytes.Equal(a.Secret("salts"), newIdentity(t).Secret("salts")) {
		t.Error("secrets coincide")
	}
	if len(a.Secret("salts")) != 32 {
		t.Error("not 32 bytes")
	}
}
