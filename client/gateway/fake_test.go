package gateway_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hyperledger/fabric-protos-go-apiv2/common"
	gatewaypb "github.com/hyperledger/fabric-protos-go-apiv2/gateway"
	"github.com/hyperledger/fabric-protos-go-apiv2/peer"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/protoadapt"

	"github.com/medfed/medfed/client/gateway"
)

// ledger is what the fake peers share: the fate of transactions.
type ledger struct {
	mu        sync.Mutex
	committed map[string]peer.TxValidationCode
	changed   chan struct{} // closed and renewed at each commit
	order     []string
}

func newLedger() *ledger {
	return &ledger{committed: map[string]peer.TxValidationCode{}, changed: make(chan struct{})}
}

func (l *ledger) commit(id string, code peer.TxValidationCode) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.committed[id] = code
	l.order = append(l.order, id)
	close(l.changed)
	l.changed = make(chan struct{})
}

// fakePeer is the gateway service of one peer, over TLS, with scripted faults.
type fakePeer struct {
	gatewaypb.UnimplementedGatewayServer
	name, msp string
	ledger    *ledger
	server    *grpc.Server
	address   string

	mu          sync.Mutex
	endorsed    int
	targets     [][]string
	requests    []string                          // arguments seen
	onEndorse   func(n int) error                 // n counts from 1
	onRequest   func(*gatewaypb.EndorseRequest)   // sees every proposal when set
	onSubmit    func(n int, id string) error      // may commit by itself; nil commits as valid
	onStatus    func(id string) error             //
	onEvaluate  func() ([]byte, error)            //
	validity    func(n int) peer.TxValidationCode // VALID when nil
	onEvents    func(*gatewaypb.ChaincodeEventsRequest, gatewaypb.Gateway_ChaincodeEventsServer) error
	submissions int
	hung        chan struct{} // while it is open the peer answers nothing; nil: it answers
	late        time.Duration // that an answer to a query takes
	height      uint64        // blocks it says to have; 0: it does not say
}

func (p *fakePeer) do(f func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	f()
}

// await returns when the peer does not hang.
func (p *fakePeer) await(ctx context.Context) error {
	var hung chan struct{}
	p.do(func() { hung = p.hung })
	if hung == nil {
		return nil
	}
	select {
	case <-hung:
		return nil
	case <-ctx.Done():
		return status.FromContextError(ctx.Err()).Err()
	}
}

func (p *fakePeer) Endorse(ctx context.Context, r *gatewaypb.EndorseRequest) (*gatewaypb.EndorseResponse, error) {
	if err := p.await(ctx); err != nil {
		return nil, err
	}
	p.mu.Lock()
	p.endorsed++
	n, fault := p.endorsed, p.onEndorse
	p.requests = append(p.requests, argument(r.GetProposedTransaction()))
	if p.onRequest != nil {
		p.onRequest(r)
	}
	p.mu.Unlock()
	if fault != nil {
		if err := fault(n); err != nil {
			return nil, err
		}
	}
	return &gatewaypb.EndorseResponse{PreparedTransaction: envelope(r.GetChannelId(), fmt.Sprintf(`{"task":"t","number":%d}`, n))}, nil
}

// argument is the transaction's JSON argument in a signed proposal.
func argument(signed *peer.SignedProposal) string {
	var proposal peer.Proposal
	var payload peer.ChaincodeProposalPayload
	var spec peer.ChaincodeInvocationSpec
	if proto.Unmarshal(signed.GetProposalBytes(), &proposal) != nil ||
		proto.Unmarshal(proposal.GetPayload(), &payload) != nil ||
		proto.Unmarshal(payload.GetInput(), &spec) != nil {
		return "unreadable"
	}
	arguments := spec.GetChaincodeSpec().GetInput().GetArgs()
	return string(arguments[0]) + " " + string(arguments[1])
}

// envelope is an endorsed transaction with that response.
func envelope(channel, response string) *common.Envelope {
	must := func(m proto.Message) []byte {
		b, err := proto.Marshal(m)
		if err != nil {
			panic(err)
		}
		return b
	}
	action := must(&peer.ChaincodeAction{Response: &peer.Response{Status: 200, Payload: []byte(response)}})
	proposalResponse := must(&peer.ProposalResponsePayload{Extension: action})
	actionPayload := must(&peer.ChaincodeActionPayload{Action: &peer.ChaincodeEndorsedAction{ProposalResponsePayload: proposalResponse}})
	transaction := must(&peer.Transaction{Actions: []*peer.TransactionAction{{Payload: actionPayload}}})
	header := must(&common.ChannelHeader{ChannelId: channel})
	return &common.Envelope{Payload: must(&common.Payload{Header: &common.Header{ChannelHeader: header}, Data: transaction})}
}

func (p *fakePeer) Submit(_ context.Context, r *gatewaypb.SubmitRequest) (*gatewaypb.SubmitResponse, error) {
	p.mu.Lock()
	p.submissions++
	n, fault, validity := p.submissions, p.onSubmit, p.validity
	p.mu.Unlock()
	if len(r.GetPreparedTransaction().GetSignature()) == 0 {
		return nil, status.Error(codes.InvalidArgument, "not signed")
	}
	if fault != nil {
		if err := fault(n, r.GetTransactionId()); err != nil {
			return nil, err
		}
	}
	code := peer.TxValidationCode_VALID
	if validity != nil {
		code = validity(n)
	}
	p.ledger.commit(r.GetTransactionId(), code)
	return &gatewaypb.SubmitResponse{}, nil
}

func (p *fakePeer) CommitStatus(ctx context.Context, r *gatewaypb.SignedCommitStatusRequest) (*gatewaypb.CommitStatusResponse, error) {
	if err := p.await(ctx); err != nil {
		return nil, err
	}
	var request gatewaypb.CommitStatusRequest
	if err := proto.Unmarshal(r.GetRequest(), &request); err != nil || len(r.GetSignature()) == 0 {
		return nil, status.Error(codes.InvalidArgument, "not signed")
	}
	p.mu.Lock()
	fault := p.onStatus
	p.mu.Unlock()
	if fault != nil {
		if err := fault(request.GetTransactionId()); err != nil {
			return nil, err
		}
	}
	for {
		p.ledger.mu.Lock()
		code, ok := p.ledger.committed[request.GetTransactionId()]
		changed := p.ledger.changed
		p.ledger.mu.Unlock()
		if ok {
			return &gatewaypb.CommitStatusResponse{Result: code, BlockNumber: 1}, nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return nil, status.FromContextError(ctx.Err()).Err()
		}
	}
}

func (p *fakePeer) Evaluate(ctx context.Context, r *gatewaypb.EvaluateRequest) (*gatewaypb.EvaluateResponse, error) {
	if err := p.await(ctx); err != nil {
		return nil, err
	}
	time.Sleep(p.late)
	if strings.HasPrefix(argument(r.GetProposedTransaction()), "task:ListTasks ") { // asked of any call that takes long, on a slow machine too
		return &gatewaypb.EvaluateResponse{Result: &peer.Response{Status: 200, Payload: []byte("{}")}}, nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if height := p.height; height > 0 && strings.HasPrefix(argument(r.GetProposedTransaction()), "GetChainInfo ") {
		info, err := proto.Marshal(&common.BlockchainInfo{Height: height})
		return &gatewaypb.EvaluateResponse{Result: &peer.Response{Status: 200, Payload: info}}, err
	}
	p.targets = append(p.targets, r.GetTargetOrganizations())
	payload := []byte(`{"last_round":7}`)
	if p.onEvaluate != nil {
		var err error
		if payload, err = p.onEvaluate(); err != nil {
			return nil, err
		}
	}
	return &gatewaypb.EvaluateResponse{Result: &peer.Response{Status: 200, Payload: payload}}, nil
}

func (p *fakePeer) ChaincodeEvents(r *gatewaypb.SignedChaincodeEventsRequest, s gatewaypb.Gateway_ChaincodeEventsServer) error {
	var request gatewaypb.ChaincodeEventsRequest
	if err := proto.Unmarshal(r.GetRequest(), &request); err != nil {
		return err
	}
	p.mu.Lock()
	serve := p.onEvents
	p.mu.Unlock()
	if serve != nil {
		return serve(&request, s)
	}
	<-s.Context().Done()
	return nil
}

// refusal is how a peer's gateway reports failed endorsers.
func refusal(code codes.Code, message string, details ...string) error {
	var attached []protoadapt.MessageV1
	for i, detail := range details {
		attached = append(attached, protoadapt.MessageV1Of(&gatewaypb.ErrorDetail{Address: fmt.Sprintf("peer%d:7051", i), MspId: "Hospital1MSP", Message: detail}))
	}
	st, err := status.New(code, message).WithDetails(attached...)
	if err != nil {
		panic(err)
	}
	return st.Err()
}

// consortium is fake peers behind TLS, their profile, and an identity.
type consortium struct {
	folder  string
	ledger  *ledger
	peers   []*fakePeer
	profile *gateway.Profile
	id      *gateway.Identity
}

func newConsortium(t testing.TB, peers int) *consortium {
	t.Helper()
	c := &consortium{folder: t.TempDir(), ledger: newLedger()}
	authority := newAuthority(t)
	write(t, filepath.Join(c.folder, "tls", "ca.pem"), authority.pem)
	text := "name: test\nclient: {organization: hospital1}\nx-medfed: {channel: medfed, chaincode: medfed, ipfs: {private: {url: http://127.0.0.1:1, tokenFile: ../token}}}\n" +
		"organizations:\n"
	servers, channel := "peers:\n", "channels:\n  medfed:\n    peers:\n"
	for i := range peers {
		name := fmt.Sprintf("peer-hospital%d", i+1)
		p := &fakePeer{name: name, msp: fmt.Sprintf("Hospital%dMSP", i+1), ledger: c.ledger}
		certificate := authority.issue(t, name+".example", nil)
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		p.address = listener.Addr().String()
		p.serve(listener, certificate)
		t.Cleanup(p.server.Stop)
		c.peers = append(c.peers, p)
		text += fmt.Sprintf("  hospital%d: {mspid: %s, peers: [%s]}\n", i+1, p.msp, name)
		servers += fmt.Sprintf("  %s: {url: 'grpcs://%s', tlsCACerts: {path: ../tls/ca.pem}, grpcOptions: {ssl-target-name-override: %s.example}}\n", name, p.address, name)
		channel += fmt.Sprintf("      %s: {endorsingPeer: true}\n", name)
	}
	path := filepath.Join(c.folder, "profiles", "hospital1.yaml")
	write(t, path, []byte(text+servers+channel))
	var err error
	if c.profile, err = gateway.LoadProfile(path); err != nil {
		t.Fatal(err)
	}
	c.id = authority.enrol(t, filepath.Join(c.folder, "identities", "node1"), "Hospital1MSP", "node1", "trainer")
	return c
}

func (p *fakePeer) serve(listener net.Listener, certificate tls.Certificate) {
	p.server = grpc.NewServer(grpc.Creds(credentials.NewTLS(&tls.Config{Certificates: []tls.Certificate{certificate}})))
	gatewaypb.RegisterGatewayServer(p.server, p)
	go p.server.Serve(listener)
}

func (c *consortium) connect(t testing.TB, options gateway.Options) *gateway.Gateway {
	t.Helper()
	g, err := gateway.Connect(c.profile, c.id, options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { g.Close() })
	return g
}

func write(t testing.TB, path string, content []byte) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
}

// authority issues certificates.
type authority struct {
	key         *ecdsa.PrivateKey
	certificate *x509.Certificate
	pem         []byte
}

func newAuthority(t testing.TB) *authority {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "ca"}, NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return &authority{key, certificate, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})}
}

func (a *authority) issue(t testing.TB, name string, change func(*x509.Certificate)) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: name}, DNSNames: []string{name}, NotAfter: time.Now().Add(time.Hour)}
	if change != nil {
		change(template)
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.certificate, &key.PublicKey, a.key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

// enrol writes an MSP folder as Fabric CA does and loads it.
func (a *authority) enrol(t testing.TB, folder, msp, name, role string) *gateway.Identity {
	t.Helper()
	a.writeMSP(t, folder, a.issue(t, name, func(c *x509.Certificate) {
		c.ExtraExtensions = []pkix.Extension{{Id: asn1.ObjectIdentifier{1, 2, 3, 4, 5, 6, 7, 8, 1}, Value: []byte(`{"attrs":{"medfed.role":"` + role + `"}}`)}}
	}))
	id, err := gateway.LoadIdentity(msp, folder)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func (a *authority) writeMSP(t testing.TB, folder string, pair tls.Certificate) {
	t.Helper()
	key, err := x509.MarshalPKCS8PrivateKey(pair.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(folder, "signcerts", "cert.pem"), pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: pair.Certificate[0]}))
	write(t, filepath.Join(folder, "keystore", "abc_sk"), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key}))
	write(t, filepath.Join(folder, "cacerts", "ca.pem"), a.pem)
}
