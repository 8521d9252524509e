package contract_test

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/hyperledger/fabric-chaincode-go/v2/shim"
	"pgregory.net/rapid"

	"github.com/medfed/medfed/chaincode/codes"
	"github.com/medfed/medfed/chaincode/consent"
	"github.com/medfed/medfed/chaincode/form"
	"github.com/medfed/medfed/chaincode/ledger"
	"github.com/medfed/medfed/chaincode/ledgertest"
	"github.com/medfed/medfed/chaincode/record"
)

const hospital = "Hospital1MSP"

// clinic is a consortium with the collections of its default network, people of
// every role, and the contracts on an in-memory Fabric whose five endorsers'
// clocks differ.
type clinic struct {
	rapid.TB
	ledger      *ledgertest.Ledger
	officer     *ledgertest.Identity // of Hospital1
	officer2    *ledgertest.Identity // of Hospital2
	patient     *ledgertest.Identity // of Hospital1
	neighbour   *ledgertest.Identity // another patient of Hospital1
	insurer     *ledgertest.Identity
	lab         *ledgertest.Identity
	auditor     *ledgertest.Identity
	coordinator *ledgertest.Identity // of the research centre
	drawn       int                  // identifiers drawn so far
}

func newClinic(t rapid.TB, options ...ledgertest.Option) *clinic {
	t.Helper()
	chaincode, err := newChaincode()
	if err != nil {
		t.Fatal(err)
	}
	return newClinicOf(t, chaincode, options...)
}

// newClinicOf is a clinic with another chaincode.
func newClinicOf(t rapid.TB, chaincode shim.Chaincode, options ...ledgertest.Option) *clinic {
	t.Helper()
	config, err := os.ReadFile("../../collections/collections_config.json")
	if err != nil {
		t.Fatal(err)
	}
	defined, err := ledgertest.ParseCollections(config)
	if err != nil {
		t.Fatal(err)
	}
	options = append(options, ledgertest.WithTimeWindow(ledger.TimeWindow*time.Second), ledgertest.WithCollections(defined...),
		ledgertest.WithOrganisations("InsurerMSP", "ForeignLabMSP", "AuditorMSP"), ledgertest.WithGateway("ResearchCentreMSP"))
	l, err := ledgertest.New(chaincode, options...)
	if err != nil {
		t.Fatal(err)
	}
	for i, peer := range l.Peers() {
		peer.SetSkew([]time.Duration{-20, 7, 0, 13, -1}[i] * time.Second)
	}
	return &clinic{
		TB: t, ledger: l,
		officer:     l.Identity(hospital, "officer", "custodian"),
		officer2:    l.Identity("Hospital2MSP", "officer", "custodian"),
		patient:     l.Identity(hospital, pseudonym(1), "patient"),
		neighbour:   l.Identity(hospital, pseudonym(2), "patient"),
		insurer:     l.Identity("InsurerMSP", "requester", "requester"),
		lab:         l.Identity("ForeignLabMSP", "requester", "requester"),
		auditor:     l.Identity("AuditorMSP", "auditor", "auditor"),
		coordinator: l.Identity("ResearchCentreMSP", "coordinator", "coordinator"),
	}
}

func pseudonym(n int) string { return opaque(record.PatientPrefix, n) }

// opaque is an identifier that would be random.
func opaque(prefix string, n int) string { return prefix + secret(prefix, n)[:32] }

// draw gives the next identifier of a kind.
func (c *clinic) draw(prefix string) string {
	c.drawn++
	return opaque(prefix, c.drawn)
}

// What may not be seen outside of the custodian's collections, sealed or not. It is
// written in the letters of base64, so that it is found.
const (
	canaryIdentifier = "MRN+CANARY+4711"
	canaryWrap       = "wrapped+key+CANARY"
	canaryGrant      = "granted+key+CANARY"
	canaryNote       = "note+CANARY+for+the+patient+only"
)

func wrapped(text string) string { return base64.StdEncoding.EncodeToString([]byte(text)) }

// sealed stands for an age file in base64.
func sealed(parts ...string) string {
	text := strings.Join(parts, "/")
	return text + strings.Repeat("A", -len(text)&3)
}

// private is the sealed private part of a version.
func private(rec string, version int) record.SealedVersion {
	return record.SealedVersion{Record: rec, Version: version, Sealed: sealed(canaryIdentifier, canaryWrap, secret("sealed", rec, version))}
}

func contentDigest(rec string, version int) string {
	return record.ContentDigest(secret("salt", rec, version), cidOf(fmt.Sprint(rec, version)).String(), secret("plain", rec, version))
}

// grantInput is what opens a version, sealed for a grantee.
func grantInput(parts ...any) consent.GrantInput {
	return consent.GrantInput{Sealed: sealed(canaryGrant, secret(append([]any{"grant"}, parts...)...))}
}

func holders(custodian string) []string { return []string{custodian, "ResearchCentreMSP"} }

func register(rec string) record.RegisterRequest {
	return record.RegisterRequest{
		Record: rec, Kind: record.KindImage, Patient: pseudonym(1), Digest: form.Digest(private(rec, 1)), Content: contentDigest(rec, 1), Size: 4096,
		Holders: holders(hospital),
	}
}

func addVersion(rec string, version int) record.AddVersionRequest {
	return record.AddVersionRequest{
		Record: rec, Version: version, Digest: form.Digest(private(rec, version)), Content: contentDigest(rec, version), Size: 4096, Holders: holders(hospital),
	}
}

func versionOf(rec string, version int) record.VersionRequest {
	return record.VersionRequest{Record: rec, Version: version}
}

func (c *clinic) stage(record string, version int) {
	c.Helper()
	c.doPrivate(c.officer, "record:Stage", versionOf(record, version), "version", private(record, version))
}

// xray registers an X-ray in so many versions.
func (c *clinic) xray(versions int) string {
	c.Helper()
	rec := c.draw(record.RecordPrefix)
	c.stage(rec, 1)
	c.do(c.officer, "record:Register", register(rec))
	for version := 2; version <= versions; version++ {
		c.stage(rec, version)
		c.do(c.officer, "record:AddVersion", addVersion(rec, version))
	}
	return rec
}

// days of terms from now on, for version 1 and claims.
func (c *clinic) terms(seconds int64) consent.Terms {
	return consent.Terms{
		Scope:        consent.Scope{Kind: consent.ScopeThis, Version: 1},
		Period:       consent.Period{Until: c.now() + seconds},
		Purposes:     []string{"CLMATTCH", "COVERAGE"},
		Compensation: consent.CompensationNone,
	}
}

// agree brings a consent about: the insurer asks and the patient accepts.
func (c *clinic) agree(record string, terms consent.Terms) string {
	c.Helper()
	id := c.draw(consent.ConsentPrefix)
	offer := put[consent.Offer](c, c.insurer, "consent:Request", consent.AskRequest{Consent: id, Record: record, Terms: terms})
	c.do(c.patient, "consent:Accept", consent.AcceptRequest{Consent: id, Offer: 1, Digest: offer.Digest()})
	return id
}

// ask requests an access and gives the decision.
func (c *clinic) ask(id *ledgertest.Identity, given, record string, version int) consent.Access {
	c.Helper()
	return put[consent.Access](c, id, "access:RequestAccess", c.use(given, record, version))
}

func (c *clinic) use(given, record string, version int) consent.AccessRequest {
	return consent.AccessRequest{Access: c.draw(consent.AccessPrefix), Consent: given, Record: record, Version: version, Purpose: "COVERAGE"}
}

func (c *clinic) grant(given string, version int) {
	c.Helper()
	c.doPrivate(c.officer, "access:PutGrant", consent.GrantRequest{Consent: given, Version: version}, "grant",
		grantInput(given, version))
}

// read evaluates ReadGrant on the custodian's peer.
func (c *clinic) read(id *ledgertest.Identity, access string) ([]consent.Grant, error) {
	payload, err := c.ledger.Propose(id, "access:ReadGrant", consent.ReadGrantRequest{Access: access}).On(hospital).Evaluate()
	if err != nil {
		return nil, err
	}
	return parse[[]consent.Grant](c, payload), nil
}

func (c *clinic) revoke(given string, number int) {
	c.Helper()
	c.do(c.patient, "consent:Revoke", consent.RevokeRequest{Consent: given, Number: number})
}

func (c *clinic) now() int64 { return c.ledger.Now().Unix() }

func (c *clinic) later(seconds int64) { c.ledger.Advance(time.Duration(seconds) * time.Second) }

func (c *clinic) do(id *ledgertest.Identity, name string, argument any) *ledgertest.Result {
	c.Helper()
	result, err := c.ledger.Submit(id, name, argument)
	if err != nil {
		c.Fatalf("%s by %s: %v", name, id, err)
	}
	if result.Event == nil || result.Event.Name != name {
		c.Errorf("%s sets the event %+v", name, result.Event)
	}
	return result
}

// put submits a transaction that must succeed and reads its response.
func put[T any](c *clinic, id *ledgertest.Identity, name string, argument any) T {
	c.Helper()
	return parse[T](c, c.do(id, name, argument).Payload)
}

// transient is one private field as a client sends it.
func transient(field string, value any) map[string][]byte {
	bytes, err := json.Marshal(value)
	if err != nil {
		panic(err)
	}
	return map[string][]byte{field: bytes}
}

func (c *clinic) doPrivate(id *ledgertest.Identity, name string, argument any, field string, value any) *ledgertest.Result {
	c.Helper()
	result, err := c.ledger.Propose(id, name, argument).Transient(transient(field, value)).Submit()
	if err != nil {
		c.Fatalf("%s by %s: %v", name, id, err)
	}
	return result
}

// ask evaluates a query that must succeed, on the peer that answers the caller.
func get[T any](c *clinic, id *ledgertest.Identity, name string, argument any) T {
	c.Helper()
	payload, err := c.ledger.Propose(id, name, argument).Aside().Evaluate()
	if err != nil {
		c.Fatalf("%s by %s: %v", name, id, err)
	}
	return parse[T](c, payload)
}

func (c *clinic) state(given string) consent.State {
	c.Helper()
	return get[consent.State](c, c.auditor, "consent:Get", consent.ConsentRequest{Consent: given})
}

// refused proposes a transaction that must be refused with a code and must not
// come to the ledger.
func (c *clinic) refused(code codes.Code, p *ledgertest.Proposal) {
	c.Helper()
	height := c.ledger.Height()
	_, err := p.Submit()
	c.isRefusal(code, err)
	if c.ledger.Height() != height {
		c.Fatalf("refused with %s and yet committed", code)
	}
}

func (c *clinic) isRefusal(code codes.Code, err error) {
	c.Helper()
	if err == nil {
		c.Fatalf("no refusal, want %s", code)
	}
	var invalid *ledgertest.CommitError
	if got := answered(err); got != code || errors.As(err, &invalid) {
		c.Fatalf("got %v, want %s", err, code)
	}
	if !strings.Contains(err.Error(), "; ") {
		c.Fatalf("%v does not say what to do", err)
	}
}

func (c *clinic) propose(id *ledgertest.Identity, name string, argument any) *ledgertest.Proposal {
	return c.ledger.Propose(id, name, argument)
}

func TestPseudonymsOfTests(t *testing.T) {
	if err := record.CheckPseudonym(pseudonym(1)); err != nil {
		t.Fatal(err)
	}
}

func seconds(n int64) time.Duration { return time.Duration(n) * time.Second }

// private checks that nothing private is anywhere public.
func (c *clinic) private() {
	c.Helper()
	for _, canary := range []string{"CANARY", canaryIdentifier, canaryWrap, canaryGrant, canaryNote} {
		if leaks := c.ledger.Leaks([]byte(canary)); len(leaks) > 0 {
			c.Errorf("%q: %v", canary, leaks)
		}
	}
}
