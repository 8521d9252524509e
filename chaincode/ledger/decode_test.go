package ledger_test

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/medfed/medfed/chaincode/codes"
	"github.com/medfed/medfed/chaincode/ledger"
)

type base struct {
	Name string `json:"name"`
}

type inner struct {
	Score int64 `json:"score"`
	Fine  bool  `json:"fine"`
}

type outer struct {
	base2
	Count    int      `json:"count"`
	Items    []inner  `json:"items"`
	Words    []string `json:"words" metadata:",optional"`
	One      *inner   `json:"one,omitempty" metadata:",optional"`
	Plain    string
	Small    int32 `json:"small" metadata:",optional"`
	hidden   int
	Ignored  string `json:"-"`
	Nickname kind   `json:"nickname"`
}

type base2 = base

type kind string

func TestCase07Decode(t *testing.T) {
	const good = `{"name":"n","count":-3,"items":[{"score":1,"fine":true}],"Plain":"p","nickname":"k"}`
	var got outer
	if err := ledger.Decode(good, &got); err != nil {
		t.Fatal(err)
	}
	want := outer{base2: base{Name: "n"}, Count: -3, Items: []inner{{Score: 1, Fine: true}}, Plain: "p", Nickname: "k"}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
	_ = got.hidden
	with := func(old, new string) string {
		changed := strings.Replace(good, old, new, 1)
		if changed == good {
			t.Fatalf("%s is not in the example", old)
		}
		return changed
	}
	for argument, code := range map[string]codes.Code{
		with(`"name":"n",`, ``):                                      "MF-ARGUMENT-MISSING-FIELD",
		with(`"fine":true`, `"fine":true,"x":1`):                     "MF-ARGUMENT-UNKNOWN-FIELD",
		with(`,"fine":true`, ``):                                     "MF-ARGUMENT-MISSING-FIELD",
		with(`"name"`, `"NAME"`):                                     "MF-ARGUMENT-UNKNOWN-FIELD",
		with(`"Plain"`, `"plain"`):                                   "MF-ARGUMENT-UNKNOWN-FIELD",
		with(`"count":-3`, `"count":-3,"hidden":1`):                  "MF-ARGUMENT-UNKNOWN-FIELD",
		with(`"count":-3`, `"count":-3,"Ignored":"x"`):               "MF-ARGUMENT-UNKNOWN-FIELD",
		with(`"count":-3`, `"count":-3,"count":4`):                   "MF-ARGUMENT-DUPLICATE-FIELD",
		with(`-3`, `"3"`):                                            "MF-ARGUMENT-TYPE",
		with(`-3`, `3.0`):                                            "MF-ARGUMENT-TYPE",
		with(`-3`, `1e3`):                                            "MF-ARGUMENT-TYPE",
		with(`-3`, `null`):                                           "MF-ARGUMENT-TYPE",
		with(`-3`, `99999999999999999999`):                           "MF-ARGUMENT-TYPE",
		with(`-3`, `3,"small":2147483648`):                           "MF-ARGUMENT-TYPE",
		with(`-3`, `3,"one":null`):                                   "MF-ARGUMENT-TYPE",
		with(`-3`, `3,"words":[1]`):                                  "MF-ARGUMENT-TYPE",
		with(`-3`, `3,"words":["a",["b"]]`):                          "MF-ARGUMENT-TYPE",
		with(`-3`, `NaN`):                                            "MF-ARGUMENT-MALFORMED",
		with(`-3`, `Infinity`):                                       "MF-ARGUMENT-MALFORMED",
		with(`-3`, `03`):                                             "MF-ARGUMENT-MALFORMED",
		with(`true`, `1`):                                            "MF-ARGUMENT-TYPE",
		with(`"n"`, `{}`):                                            "MF-ARGUMENT-TYPE",
		with(`[{"score":1,"fine":true}]`, `{"score":1,"fine":true}`): "MF-ARGUMENT-TYPE",
		with(`{"score":1,"fine":true}`, `7`):                         "MF-ARGUMENT-TYPE",
		good + " ":                                                   "",
		" \n" + good:                                                 "",
		good + "x":                                                   "MF-ARGUMENT-MALFORMED",
		good + good:                                                  "MF-ARGUMENT-MALFORMED",
		good[:len(good)-1]:                                           "MF-ARGUMENT-MALFORMED",
		"":                                                           "MF-ARGUMENT-MALFORMED",
		with("n", "\xff"):                                            "MF-ARGUMENT-MALFORMED",
		with("n", "a\x00b"):                                          "MF-ARGUMENT-MALFORMED",
		with(`"n"`, `"a\u0000b"`):                                    "", // the identifier's check refuses it
		"[" + good + "]":                                             "MF-ARGUMENT-TYPE",
		"7":                                                          "MF-ARGUMENT-TYPE",
		strings.Repeat("[", 9):                                       "MF-ARGUMENT-TOO-DEEP",
		`"` + strings.Repeat("[", 9):                                 "MF-ARGUMENT-MALFORMED",
		with(`"n"`, `"\"[[[[[[[[[[[[{{{{{{{{{{"`):                    "",
		strings.Repeat(" ", ledger.MaxArgument+1):                    "MF-ARGUMENT-TOO-LARGE",
	} {
		var into outer
		err := ledger.Decode(argument, &into)
		code2 := codes.Code("")
		if err != nil {
			code2 = codes.Of(err)
		}
		if code2 != code {
			t.Errorf("%.80q: %v, want %q", argument, err, code)
		}
	}
}

func TestDecodeNamesTheFieldAndNeverShowsItsValue(t *testing.T) {
	var into outer
	err := ledger.Decode(`{"name":{"secret":"canary"}}`, &into)
	if err == nil || !strings.Contains(err.Error(), "the field name is not a string") || strings.Contains(err.Error(), "canary") {
		t.Error(err)
	}
	err = ledger.Decode(`{"`+strings.Repeat("é", 100)+`":1}`, &into)
	if err == nil || len(err.Error()) > 300 {
		t.Error(err)
	}
}

// What is written comes back, and whatever is taken is what encoding/json reads
// with unknown fields disallowed.
func TestDecodeReadsWhatMarshalWrites(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := outer{
			base2: base{Name: rapid.String().Draw(t, "name")}, Count: rapid.Int().Draw(t, "count"),
			Items: []inner{}, Plain: rapid.String().Draw(t, "plain"), Nickname: kind(rapid.String().Draw(t, "nickname")),
			Words: rapid.SliceOfN(rapid.String(), 1, 3).Draw(t, "words"), Small: rapid.Int32().Draw(t, "small"),
		}
		for range rapid.IntRange(0, 3).Draw(t, "items") {
			want.Items = append(want.Items, inner{Score: rapid.Int64().Draw(t, "score"), Fine: rapid.Bool().Draw(t, "fine")})
		}
		if rapid.Bool().Draw(t, "one") {
			want.One = &inner{Score: 5}
		}
		bytes, err := ledger.Marshal(want)
		if err != nil {
			t.Fatal(err)
		}
		var got outer
		if err := ledger.Decode(string(bytes), &got); err != nil {
			t.Fatalf("%s: %v", bytes, err)
		}
		if !reflect.DeepEqual(got, want) {
			t.Fatalf("got %+v, want %+v", got, want)
		}
	})
}

func FuzzDecode(f *testing.F) {
	for _, seed := range []string{
		`{"name":"n","count":-3,"items":[{"score":1,"fine":true}],"Plain":"p","nickname":"k"}`,
		`{"name":null}`, `[[[[[[[[[`, `{"name":"\ud800"}`, `{"":0}`, `"`, `{"items":[{}]}`, "\xff",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, argument string) {
		var strict outer
		if err := ledger.Decode(argument, &strict); err != nil {
			if codes.Of(err) == "" {
				t.Errorf("%q is refused without a code: %v", argument, err)
			}
			return
		}
		decoder := json.NewDecoder(strings.NewReader(argument))
		decoder.DisallowUnknownFields()
		var lenient outer
		if err := decoder.Decode(&lenient); err != nil || !reflect.DeepEqual(lenient, strict) {
			t.Errorf("%q is taken as %+v; encoding/json: %+v, %v", argument, strict, lenient, err)
		}
	})
}
