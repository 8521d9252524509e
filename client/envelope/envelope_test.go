package envelope_test

import (
	"bytes"
	"crypto/rand"
	"errors"
	"io"
	"runtime"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/medfed/medfed/chaincode/codes"
	"github.com/medfed/medfed/client/envelope"
	"pgregory.net/rapid"
)

func newIdentity(t testing.TB) *envelope.Identity {
	t.Helper()
	identity, err := envelope.NewIdentity()
	if err != nil {
		t.Fatal(err)
	}
	return identity
}

func seal(t testing.TB, plain []byte, recipients ...string) []byte {
	t.Helper()
	r, err := envelope.SealReader(bytes.NewReader(plain), recipients...)
	if err != nil {
		t.Fatal(err)
	}
	sealed, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return sealed
}

func open(sealed []byte, identity *envelope.Identity) ([]byte, error) {
	r, err := envelope.Open(bytes.NewReader(sealed), identity)
	if err != nil {
		return nil, err
	}
	return io.ReadAll(r)
}

func wantCode(t testing.TB, err error, want codes.Code) {
	t.Helper()
	if err == nil {
		t.Fatalf("no error, want %s", want)
	}
	if got := codes.Of(err); got != want {
		t.Fatalf("code %q in %q, want %s", got, err, want)
	}
	if !strings.Contains(err.Error(), "; ") {
		t.Errorf("%q does not say what to do", err)
	}
}

func TestEveryRecipientOpensAndNobodyElse(t *testing.T) {
	a, b, stranger := newIdentity(t), newIdentity(t), newIdentity(t)
	rapid.Check(t, func(r *rapid.T) {
		size := rapid.OneOf(rapid.IntRange(0, 300), rapid.IntRange(64<<10-2, 64<<10+2), rapid.Just(200_000)).Draw(r, "size")
		plain := make([]byte, size)
		rand.Read(plain)
		sealed := seal(t, plain, a.Recipient(), b.Recipient(), a.Recipient())
		if want := envelope.SealedSize(int64(size), 2); int64(len(sealed)) != want {
			r.Fatalf("%d bytes sealed, SealedSize says %d", len(sealed), want)
		}
		for _, identity := range []*envelope.Identity{a, b} {
			got, err := open(sealed, identity)
			if err != nil || !bytes.Equal(got, plain) {
				r.Fatalf("opened %d bytes of %d: %v", len(got), size, err)
			}
		}
		_, err := open(sealed, stranger)
		wantCode(t, err, "MF-ENVELOPE-NOT-RECIPIENT")
	})
}

func TestFlippedAndCutCiphertextIsRefused(t *testing.T) {
	identity := newIdentity(t)
	sealed := seal(t, bytes.Repeat([]byte("weights"), 20_000), identity.Recipient())
	rapid.Check(t, func(r *rapid.T) {
		i := rapid.IntRange(0, len(sealed)-1).Draw(r, "byte")
		if rapid.Bool().Draw(r, "cut") {
			_, err := open(sealed[:i], identity)
			wantCode(t, err, "MF-ENVELOPE-CORRUPT")
			return
		}
		flipped := bytes.Clone(sealed)
		flipped[i] ^= 1 << rapid.IntRange(0, 7).Draw(r, "bit")
		if _, err := open(flipped, identity); err == nil {
			r.Fatalf("bit flipped in byte %d of %d went unnoticed", i, len(sealed))
		} else if !strings.HasPrefix(err.Error(), "MF-ENVELOPE-") {
			r.Fatalf("uncoded error %q", err)
		}
	})
}

func TestTrailingBytesAreRefused(t *testing.T) {
	identity := newIdentity(t)
	_, err := open(append(seal(t, []byte("x"), identity.Recipient()), 0), identity)
	wantCode(t, err, "MF-ENVELOPE-CORRUPT")
}

func TestBadRecipients(t *testing.T) {
	_, err := envelope.SealReader(strings.NewReader(""))
	wantCode(t, err, "MF-ENVELOPE-RECIPIENT")
	for _, bad := range []string{"", "age1", "age1qqqq", "AGE-SECRET-KEY-1X", "ssh-ed25519 AAAA", strings.ToUpper("age1")} {
		_, err := envelope.SealReader(strings.NewReader(""), newIdentity(t).Recipient(), bad)
		wantCode(t, err, "MF-ENVELOPE-RECIPIENT")
		_, err = envelope.SealReader(strings.NewReader(""), bad)
		wantCode(t, err, "MF-ENVELOPE-RECIPIENT")
		wantCode(t, envelope.CheckRecipient(bad), "MF-ENVELOPE-RECIPIENT")
	}
	if err := envelope.CheckRecipient(newIdentity(t).Recipient()); err != nil {
		t.Fatal(err)
	}
}

func TestSealReader(t *testing.T) {
	identity := newIdentity(t)
	plain := strings.Repeat("record ", 50_000)
	r, err := envelope.SealReader(strings.NewReader(plain), identity.Recipient())
	if err != nil {
		t.Fatal(err)
	}
	sealed, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := open(sealed, identity); err != nil || string(got) != plain {
		t.Fatalf("%d bytes, %v", len(got), err)
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestSourceErrorsPassUnchanged(t *testing.T) {
	broken := codes.Errorf("MF-IPFS-CORRUPT", "a block; fetch it elsewhere")
	identity := newIdentity(t)
	r, err := envelope.SealReader(iotest.ErrReader(broken), identity.Recipient())
	if err != nil {
		t.Fatal(err)
	}
	if _, err = io.ReadAll(r); !errors.Is(err, broken) {
		t.Errorf("sealing: %v", err)
	}
	sealed := seal(t, make([]byte, 300_000), identity.Recipient())
	for _, at := range []int{0, 30, 150, 100_000, len(sealed) - 1} {
		src := io.MultiReader(bytes.NewReader(sealed[:at]), iotest.ErrReader(broken))
		r, err := envelope.Open(src, identity)
		if err == nil {
			_, err = io.Copy(io.Discard, r)
		}
		if !errors.Is(err, broken) {
			t.Errorf("opening, source breaks at %d: %v", at, err)
		}
	}
}

func TestMemoryDoesNotGrowWithThePlaintext(t *testing.T) {
	identity := newIdentity(t)
	const size = 64 << 20
	sealed, err := envelope.SealReader(io.LimitReader(zeros{}, size), identity.Recipient())
	if err != nil {
		t.Fatal(err)
	}
	plain, err := envelope.Open(sealed, identity)
	if err != nil {
		t.Fatal(err)
	}
	for range size / (16 << 20) {
		if n, err := io.CopyN(io.Discard, plain, 16<<20); err != nil {
			t.Fatalf("%d bytes, %v", n, err)
		}
		runtime.GC()
		var now runtime.MemStats
		runtime.ReadMemStats(&now)
		if now.HeapAlloc > 8<<20 {
			t.Fatalf("%d MiB live in the midst of %d MiB of plaintext", now.HeapAlloc>>20, size>>20)
		}
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}
