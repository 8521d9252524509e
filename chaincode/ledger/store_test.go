package ledger_test

import (
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/hyperledger/fabric-chaincode-go/v2/pkg/cid"
	"github.com/hyperledger/fabric-chaincode-go/v2/shim"
	"github.com/hyperledger/fabric-protos-go-apiv2/peer"
	"pgregory.net/rapid"

	"github.com/medfed/medfed/chaincode/codes"
	"github.com/medfed/medfed/chaincode/consortium"
	"github.com/medfed/medfed/chaincode/form"
	"github.com/medfed/medfed/chaincode/ledger"
	"github.com/medfed/medfed/chaincode/ledgertest"
)

// script is a chaincode whose one transaction is whatever the test says next.
type script struct {
	next func(*ledger.Context) error
}

func (*script) Init(shim.ChaincodeStubInterface) *peer.Response { return shim.Success(nil) }

func (s *script) Invoke(stub shim.ChaincodeStubInterface) *peer.Response {
	ctx := new(ledger.Context)
	ctx.SetStub(stub)
	if id, err := cid.New(stub); err == nil {
		ctx.SetClientIdentity(id)
	}
	if err := s.next(ctx); err != nil {
		return shim.Error(err.Error())
	}
	return shim.Success(nil)
}

// bench is a ledger with a script and someone to run it.
type bench struct {
	rapid.TB
	*script
	ledger *ledgertest.Ledger
	caller *ledgertest.Identity
}

func newBench(t rapid.TB) *bench {
	t.Helper()
	s := &script{}
	l, err := ledgertest.New(s, ledgertest.WithPeers("AMSP"))
	if err != nil {
		t.Fatal(err)
	}
	return &bench{TB: t, script: s, ledger: l, caller: l.Identity("AMSP", "ann", "trainer")}
}

// submit runs a transaction that must succeed.
func (b *bench) submit(next func(*ledger.Context) error) {
	b.Helper()
	b.next = next
	if _, err := b.ledger.Submit(b.caller, "run"); err != nil {
		b.Fatal(err)
	}
}

// refused runs a transaction that must be refused with a code.
func (b *bench) refused(code codes.Code, next func(*ledger.Context) error) {
	b.Helper()
	b.next = next
	_, err := b.ledger.Submit(b.caller, "run")
	var refusal *ledgertest.EndorseError
	if !errors.As(err, &refusal) || codes.Parse(refusal.Error()).Code != code {
		b.Fatalf("got %v, want %s", err, code)
	}
}

type note struct {
	Text string `json:"text"`
}

func TestPutThenGet(t *testing.T) {
	b := newBench(t)
	key := ledger.TaskKey("covid")
	b.submit(func(ctx *ledger.Context) error {
		if _, found, err := ledger.Get[note](ctx, key); found || err != nil {
			t.Errorf("found %v, %v", found, err)
		}
		if err := ledger.Put(ctx, key, note{"hello"}); err != nil {
			return err
		}
		if found, err := ledger.Exists(ctx, key); found || err != nil {
			t.Error("a transaction saw its own write")
		}
		return nil
	})
	b.submit(func(ctx *ledger.Context) error {
		got, found, err := ledger.Get[note](ctx, key)
		if !found || got != (note{"hello"}) {
			t.Errorf("got %+v, %v", got, found)
		}
		return err
	})
	if got := string(b.ledger.State("\x00task\x00covid\x00")); got != `{"text":"hello"}` {
		t.Errorf("stored %s", got)
	}
}

func TestDocumentsOfAnotherTypeAreCorrupt(t *testing.T) {
	b := newBench(t)
	b.submit(func(ctx *ledger.Context) error { return ctx.GetStub().PutState("\x00task\x00a\x00", []byte("7")) })
	b.refused("MF-LEDGER-CORRUPT", func(ctx *ledger.Context) error {
		_, _, err := ledger.Get[note](ctx, ledger.TaskKey("a"))
		return err
	})
	b.refused("MF-LEDGER-CORRUPT", func(ctx *ledger.Context) error {
		_, err := ledger.List[note](ctx, ledger.Tasks())
		return err
	})
}

func TestWhatCanNotBeJSONIsRefused(t *testing.T) {
	b := newBench(t)
	b.refused("MF-INTERNAL", func(ctx *ledger.Context) error { return ledger.Put(ctx, ledger.TaskKey("a"), func() {}) })
	b.refused("MF-INTERNAL", func(ctx *ledger.Context) error { return ctx.Emit(func() {}) })
}

func TestCase06Identifiers(t *testing.T) {
	b := newBench(t)
	for _, c := range []struct {
		part string
		code codes.Code
	}{
		{"", "MF-IDENTIFIER-EMPTY"},
		{strings.Repeat("x", form.MaxIdentifier+1), "MF-IDENTIFIER-TOO-LONG"},
		{"a\x00b", "MF-IDENTIFIER-CHARACTER"},
		{"a\x1fb", "MF-IDENTIFIER-CHARACTER"},
		{"a\x7fb", "MF-IDENTIFIER-CHARACTER"},
		{"a\U0010FFFFb", "MF-IDENTIFIER-CHARACTER"},
		{"a\xff", "MF-IDENTIFIER-CHARACTER"},
	} {
		for _, use := range []func(*ledger.Context) error{
			func(ctx *ledger.Context) error { return ledger.Put(ctx, ledger.NodeKey("t", c.part), note{}) },
			func(ctx *ledger.Context) error { return ledger.Put(ctx, ledger.NodeKey(c.part, "n"), note{}) },
			func(ctx *ledger.Context) error {
				_, _, err := ledger.Get[note](ctx, ledger.TaskKey(c.part))
				return err
			},
			func(ctx *ledger.Context) error { _, err := ledger.List[note](ctx, ledger.Nodes(c.part)); return err },
			func(ctx *ledger.Context) error {
				_, _, err := ledger.Page[note](ctx, ledger.Nodes(c.part), 1, "")
				return err
			},
			func(ctx *ledger.Context) error { _, err := ledger.Changes(ctx, ledger.TaskKey(c.part)); return err },
		} {
			b.refused(c.code, use)
		}
	}
	if keys := b.ledger.Keys(""); len(keys) != 0 {
		t.Errorf("written: %q", keys)
	}
}

// Two keys are one only when all their parts are.
func TestCase06KeysStayApart(t *testing.T) {
	b := newBench(t)
	part := rapid.StringMatching(`[ab/\x{fffd}\x{10fffe}é]{1,3}`)
	rapid.Check(t, func(t *rapid.T) {
		one := [2]string{part.Draw(t, "one"), part.Draw(t, "one")}
		other := [2]string{part.Draw(t, "other"), part.Draw(t, "other")}
		write := func(parts [2]string, text string) {
			b.submit(func(ctx *ledger.Context) error {
				return ledger.Put(ctx, ledger.NodeKey(parts[0], parts[1]), note{text})
			})
		}
		write(one, "one")
		write(other, "other")
		b.submit(func(ctx *ledger.Context) error {
			got, _, err := ledger.Get[note](ctx, ledger.NodeKey(one[0], one[1]))
			if (got.Text == "other") != (one == other) {
				t.Fatalf("%q holds what was written to %q", one, other)
			}
			return err
		})
	})
}

func TestListsAreApartAndInKeyOrder(t *testing.T) {
	b := newBench(t)
	b.submit(func(ctx *ledger.Context) error {
		for _, key := range []ledger.Key{
			ledger.UpdateKey("a", 10, "B/2"), ledger.UpdateKey("a", 10, "B/10"), ledger.UpdateKey("a", 10, "A/1"),
			ledger.UpdateKey("a", 9, "A/1"), ledger.UpdateKey("a", 100, "A/1"), ledger.UpdateKey("ab", 10, "A/1"),
			ledger.RevealKey("a", 10, "A/1"), ledger.RoundKey("a", 2), ledger.RoundKey("a", 10), ledger.RoundKey("a", 100),
		} {
			if err := ledger.Put(ctx, key, note{key.String()}); err != nil {
				return err
			}
		}
		return nil
	})
	b.submit(func(ctx *ledger.Context) error {
		got, err := ledger.List[note](ctx, ledger.Updates("a", 10))
		want := []note{{"update/a/00000010/A/1"}, {"update/a/00000010/B/10"}, {"update/a/00000010/B/2"}}
		if !slices.Equal(got, want) {
			t.Errorf("listed %v, want %v", got, want)
		}
		none, err2 := ledger.List[note](ctx, ledger.Updates("a", 11))
		if none == nil || len(none) != 0 {
			t.Errorf("an empty list is %v", none)
		}
		return errors.Join(err, err2)
	})
	var rounds []string
	for _, key := range b.ledger.Keys("\x00round\x00a\x00") {
		rounds = append(rounds, strings.Trim(key[len("\x00round\x00a\x00"):], "\x00"))
	}
	if !slices.Equal(rounds, []string{"00000002", "00000010", "00000100"}) {
		t.Errorf("rounds are in the order %v", rounds)
	}
}

func TestPages(t *testing.T) {
	b := newBench(t)
	b.submit(func(ctx *ledger.Context) error {
		for i := range 10 {
			if err := ledger.Put(ctx, ledger.NodeKey("t", fmt.Sprint("n", i)), note{fmt.Sprint(i)}); err != nil {
				return err
			}
		}
		return ledger.Put(ctx, ledger.NodeKey("u", "n"), note{"other"})
	})
	const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	for _, size := range []int{1, 3, 5, 10, 11, ledger.MaxPage} {
		var all string
		b.submit(func(ctx *ledger.Context) error {
			all = ""
			for bookmark, pages := "", 0; pages == 0 || bookmark != ""; pages++ {
				page, next, err := ledger.Page[note](ctx, ledger.Nodes("t"), size, bookmark)
				if err != nil || len(page) > size || pages > 11 {
					return fmt.Errorf("page %d of %d: %w", pages, len(page), err)
				}
				for _, n := range page {
					all += n.Text
				}
				if bookmark = next; strings.Trim(bookmark, letters) != "" {
					return fmt.Errorf("a shell can't pass %q back", bookmark)
				}
			}
			return nil
		})
		if all != "0123456789" {
			t.Errorf("pages of %d give %s", size, all)
		}
	}
	for _, size := range []int{0, -1, ledger.MaxPage + 1} {
		b.refused("MF-PAGE-SIZE", func(ctx *ledger.Context) error {
			_, _, err := ledger.Page[note](ctx, ledger.Nodes("t"), size, "")
			return err
		})
	}
	bookmarks := []string{"x", "\x00node\x00t\x00n0\x00"} // not what a page gave
	for _, key := range []string{"x", "\x00node\x00u\x00n\x00", "\x00node\x00t\x00"} {
		bookmarks = append(bookmarks, base64.RawURLEncoding.EncodeToString([]byte(key)))
	}
	for _, bookmark := range bookmarks {
		b.refused("MF-PAGE-BOOKMARK", func(ctx *ledger.Context) error {
			_, _, err := ledger.Page[note](ctx, ledger.Nodes("t"), 5, bookmark)
			return err
		})
	}
}

func TestHistoryIsOldestFirst(t *testing.T) {
	b := newBench(t)
	key := ledger.TaskKey("a")
	for _, text := range []string{"one", "two", "three"} {
		b.submit(func(ctx *ledger.Context) error { return ledger.Put(ctx, key, note{text}) })
	}
	b.submit(func(ctx *ledger.Context) error { return ctx.GetStub().DelState("\x00task\x00a\x00") })
	b.submit(func(ctx *ledger.Context) error {
		changes, err := ledger.Changes(ctx, key)
		var values []string
		for _, change := range changes {
			values = append(values, change.Value)
			if change.TxID == "" || change.Timestamp != b.ledger.Now().Unix() {
				t.Errorf("%+v", change)
			}
		}
		if want := []string{`{"text":"one"}`, `{"text":"two"}`, `{"text":"three"}`, ""}; !slices.Equal(values, want) || !changes[3].Deleted {
			t.Errorf("history %q", values)
		}
		return err
	})
}

func TestOneEventPerTransactionUnderItsName(t *testing.T) {
	b := newBench(t)
	b.submit(func(ctx *ledger.Context) error {
		if err := ctx.Emit(note{"x"}); err != nil {
			return err
		}
		if err := ctx.Emit(note{"y"}); err == nil || codes.Of(err) != "MF-INTERNAL" {
			t.Errorf("a second event: %v", err)
		}
		return nil
	})
	events := b.ledger.Events(0)
	if len(events) != 1 || events[0].Name != "run" || string(events[0].Payload) != `{"text":"x"}` {
		t.Errorf("events %+v", events)
	}
	b.next = func(ctx *ledger.Context) error { return ctx.Emit(note{}) }
	if _, err := b.ledger.Submit(b.caller, ""); err == nil || codes.Parse(err.Error()).Code != "MF-LEDGER-WRITE" {
		t.Errorf("an event of a transaction without a name: %v", err)
	}
}

func TestCase18Callers(t *testing.T) {
	b := newBench(t)
	b.submit(func(ctx *ledger.Context) error {
		caller, err := ctx.Caller()
		if caller != (consortium.Caller{ID: "AMSP/ann", MSP: "AMSP", Name: "ann", Role: consortium.RoleTrainer}) {
			t.Errorf("%+v", caller)
		}
		now, err2 := ctx.Now()
		if now != b.ledger.Now().Unix() {
			t.Errorf("now is %d", now)
		}
		return errors.Join(err, err2, caller.MustBe(consortium.RoleAuditor, consortium.RoleTrainer))
	})
	as := func(roles ...consortium.Role) func(*ledger.Context) error {
		return func(ctx *ledger.Context) error { _, err := ctx.CallerAs(roles...); return err }
	}
	b.refused("MF-ROLE-DENIED", as(consortium.RoleAuditor, consortium.RolePatient))
	b.refused("MF-ROLE-DENIED", as())
	b.caller = b.ledger.Identity("AMSP", "bob", "")
	b.refused("MF-ROLE-MISSING", as(consortium.RoleTrainer))
	b.caller = b.ledger.Identity("AMSP", "TRAINER", "Trainer")
	b.refused("MF-ROLE-DENIED", as(consortium.RoleTrainer))
	b.caller = b.ledger.Identity("AMSP", "", "trainer")
	b.refused("MF-IDENTIFIER-EMPTY", as(consortium.RoleTrainer))
	b.caller = b.ledger.Identity("AMSP", "a/b", "trainer")
	b.refused("MF-IDENTIFIER-CHARACTER", as(consortium.RoleTrainer))
	b.caller = b.ledger.Identity("AMSP/a", "b", "trainer")
	b.refused("MF-IDENTIFIER-CHARACTER", as(consortium.RoleTrainer))
}

func TestNoIdentityIsRefusedAndNotAPanic(t *testing.T) {
	ctx := new(ledger.Context)
	if _, err := ctx.Caller(); err == nil || codes.Of(err) != "MF-IDENTITY-UNREADABLE" {
		t.Error(err)
	}
	ctx.SetClientIdentity((*cid.ClientID)(nil)) // as the contract API does with a creator it can't read
	if _, err := ctx.Caller(); err == nil || codes.Of(err) != "MF-IDENTITY-UNREADABLE" {
		t.Error(err)
	}
}
