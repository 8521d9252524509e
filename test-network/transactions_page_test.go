package testnetwork

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/medfed/medfed/chaincode/consent"
	"github.com/medfed/medfed/chaincode/contract"
	"github.com/medfed/medfed/network"
)

// modulesVariable names a node_modules folder with the packages of docs/fabric.md.
// With it the calls from JavaScript are run where those with peer are run without it.
const modulesVariable = "MEDFED_NODE_MODULES"

// The page of transactions is true: its calls, as they stand there, each sent by who
// may, are the story of the examples on a real ledger. On that of the other tests things
// have happened that the story does not know of.
func TestTransactionsPage(t *testing.T) {
	term := newTerminalOf(t, ownNetwork(t, func(*network.Consortium) {}))
	term.run(`export PATH="$PWD/.run/bin:$PATH"`)
	page := readCalls(t)
	as := term.people()
	as(contract.Call{MSP: "Hospital1MSP", Name: "node1"})
	term.run(page.opening)
	script := term.javaScript()
	for _, call := range contract.Story() {
		as(call)
		term.settle()
		call = term.agreed(call)
		one := page.calls[call.Transaction]
		if script == nil {
			term.run(one.shell(t, call))
		} else {
			term.run(script(one.javaScript(t, call)))
		}
	}
}

// agreed has an acceptance name the digest of the offer as this ledger has it: that
// covers when the offer was made. Other calls stay what they are.
func (term *terminal) agreed(call contract.Call) contract.Call {
	accepted, ok := call.Request.(consent.AcceptRequest)
	if !ok {
		return call
	}
	_, id := term.enrol(term.organisation(call.MSP).Name, call.Name, call.Role)
	state, err := term.connect(custodian, id).Contracts().Consents.Get(term.t.Context(), consent.ConsentRequest{Consent: accepted.Consent})
	term.must(err)
	accepted.Digest = state.Offers[accepted.Offer-1].Digest()
	call.Request, call.Example = accepted, false
	return call
}

func (term *terminal) organisation(msp string) *network.Organisation {
	term.t.Helper()
	all := term.network.Consortium().Organisations
	for i := range all {
		if all[i].MSP == msp {
			return &all[i]
		}
	}
	term.t.Fatalf("the network has no organisation %s", msp)
	return nil
}

// people makes the shell the sender of a call: enrolled once, with what peer needs.
func (term *terminal) people() func(contract.Call) {
	known := map[string]string{}
	term.run(fmt.Sprintf(`environment() { medfed network env "$@" --state '%s' --bin .run/bin --consortium test-network/consortium.yaml; }`, term.network.StateDir()))
	return func(call contract.Call) {
		who := call.MSP + "/" + call.Name
		if known[who] == "" {
			known[who] = fmt.Sprintf("as_%d", len(known))
			org := term.organisation(call.MSP).Name
			if call.Role != "" {
				term.enrol(org, call.Name, call.Role)
			}
			term.run(fmt.Sprintf(`%s=$(environment %s %s)`, known[who], org, call.Name))
		}
		term.run(fmt.Sprintf(`eval "$%s"`, known[who]))
	}
}

// javaScript prepares the shell for calls from JavaScript and gives the command that
// makes one, nil where modulesVariable names no packages.
func (term *terminal) javaScript() func(call string) (command string) {
	modules := os.Getenv(modulesVariable)
	if modules == "" {
		term.t.Log(modulesVariable + " names no packages: the calls from JavaScript are not run, those with peer are")
		return nil
	}
	term.must(os.Symlink(modules, filepath.Join(term.dir, "node_modules")))
	before, _, after := fabricScript(term.t)
	return func(call string) string {
		term.must(os.WriteFile(filepath.Join(term.dir, "call.mjs"), []byte(before+call+after), 0o600))
		return "node call.mjs"
	}
}

// fabricScript is the JavaScript of docs/fabric.md: what it does to connect, its calls,
// and what it does after them.
func fabricScript(t *testing.T) (before, calls, after string) {
	t.Helper()
	page, err := os.ReadFile("../docs/fabric.md")
	if err != nil {
		t.Fatal(err)
	}
	found := regexp.MustCompile("(?ms)^```js\n(.*?    const network = [^\n]*\n)(.*?)^(} finally .*?)^```$").FindStringSubmatch(string(page))
	if found == nil {
		t.Fatal("docs/fabric.md has no JavaScript that connects")
	}
	return found[1], found[2], found[3]
}

// callsPage is docs/transactions.md: the commands before the list, and the calls.
type callsPage struct {
	opening string
	calls   map[string]pageCall // by transaction
}

// pageCall is one transaction's call with peer and from JavaScript.
type pageCall struct{ peer, js string }

func readCalls(t *testing.T) callsPage {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", filepath.FromSlash(generated)))
	if err != nil {
		t.Fatal(err)
	}
	opening, _, _ := strings.Cut(string(text), "\n### ")
	page := callsPage{calls: map[string]pageCall{}}
	for _, block := range commands.FindAllStringSubmatch(opening, -1) {
		page.opening += block[1]
	}
	for _, found := range regexp.MustCompile("(?ms)^### (\\w+:\\w+)\n.*?^```sh\n(.*?)^```\n\n```js\n(.*?)^```$").FindAllStringSubmatch(string(text), -1) {
		page.calls[found[1]] = pageCall{peer: found[2], js: found[3]}
	}
	if len(page.calls) != len(contract.Transactions()) {
		t.Fatalf("the page calls %d transactions, and there are %d", len(page.calls), len(contract.Transactions()))
	}
	return page
}

// What the calls send, which a variation replaces.
var (
	peerRequest = regexp.MustCompile(`-c '[^']*'`)
	peerPrivate = regexp.MustCompile(`printf %s '[^']*'`)
	jsRequest   = regexp.MustCompile(`(?s)arguments: \[JSON\.stringify\(.*?\)\]`)
	jsPrivate   = regexp.MustCompile(`(?s)(transientData: { \w+: ).*?( },\n)`)
)

// shell is the call with peer: an example as it stands on the page.
func (p pageCall) shell(t *testing.T, call contract.Call) string {
	if call.Example {
		return p.peer
	}
	arguments := compact(t, map[string]any{"Args": []string{call.Transaction, compact(t, call.Request)}})
	text := peerRequest.ReplaceAllLiteralString(p.peer, "-c '"+arguments+"'")
	return peerPrivate.ReplaceAllLiteralString(text, "printf %s '"+compact(t, call.Private)+"'")
}

// javaScript is the call from JavaScript: an example as it stands on the page.
func (p pageCall) javaScript(t *testing.T, call contract.Call) string {
	if call.Example {
		return p.js
	}
	text := jsRequest.ReplaceAllLiteralString(p.js, "arguments: [JSON.stringify("+compact(t, call.Request)+")]")
	return jsPrivate.ReplaceAllString(text, "${1}JSON.stringify("+strings.ReplaceAll(compact(t, call.Private), "$", "$$")+")${2}")
}

// compact is JSON in one line, without the escapes that HTML needs.
func compact(t *testing.T, value any) string {
	t.Helper()
	var b bytes.Buffer
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(value); err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(b.String())
}
