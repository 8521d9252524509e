package scenario

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/medfed/medfed/chaincode/codes"
	"github.com/medfed/medfed/chaincode/consent"
	"github.com/medfed/medfed/chaincode/consortium"
	"github.com/medfed/medfed/client/record"
	"github.com/medfed/medfed/client/session"
	"github.com/medfed/medfed/collections"
	"github.com/medfed/medfed/network"
	"github.com/medfed/medfed/test-network/report"
	"github.com/medfed/medfed/trainer/dataset"
)

// RecordConfig is one run of the record scene.
type RecordConfig struct {
	Network  *network.Network // up
	Programs string           // folder of medfed
	Dir      string           // files of the scene go here; made when absent

	// Images are the files of versions 1 and 2. Without them they are made from
	// the first training images of Data.
	Images []string
	Data   *dataset.Data

	Period time.Duration                         // how long the consent holds; 10 minutes when 0
	Log    func(format string, arguments ...any) // told of every step; may be nil
}

// The record scene's purpose: payment, the insurer's business.
const purpose = "HPAYMT"

// clinic is a running record scene.
type clinic struct {
	RecordConfig
	hospital, replica                    string // names of organisations
	officer, patient, requester, auditor who
	last                                 who // acted last
	record, consent                      string
	accesses                             []consent.Access
	told                                 report.Consent
}

// who is an identity that takes part in the scene.
type who struct {
	role               string // as the report calls it
	profile, identity  string
	organisation, name string
}

// Records runs the record scene on a running network, every step by medfed as
// the person whose step it is: a hospital registers a patient's X-ray in two
// versions; an insurer asks for all versions; the patient counters with version 1
// only for a short period, and the insurer accepts; the insurer opens version 1,
// is denied version 2, and is denied version 1 after the patient's revocation;
// the auditor's list shows all three. Anything else is an error, MF-SCENARIO.
func Records(ctx context.Context, c RecordConfig) (report.Consent, error) {
	s := &clinic{RecordConfig: c}
	for _, step := range []func(context.Context) error{
		s.prepare, s.enrol, s.register, s.negotiate, s.permitted, s.deniedVersion, s.deniedAfterRevocation, s.audited,
	} {
		if err := step(ctx); err != nil {
			return s.told, err
		}
	}
	return s.told, nil
}

func (s *clinic) log(format string, arguments ...any) {
	if s.Log != nil {
		s.Log(format, arguments...)
	}
}

// prepare makes what is missing in the configuration.
func (s *clinic) prepare(context.Context) error {
	if s.Period == 0 {
		s.Period = 10 * time.Minute
	}
	if err := os.MkdirAll(s.Dir, 0o755); err != nil {
		return codes.Wrapf("MF-SCENARIO", "%w; make the folder writable", err)
	}
	if len(s.Images) == 0 && s.Data != nil {
		for version := 1; version <= 2; version++ {
			path := filepath.Join(s.Dir, fmt.Sprintf("xray-%d.png", version))
			if err := WriteImage(path, s.Data, version-1); err != nil {
				return err
			}
			s.Images = append(s.Images, path)
		}
	}
	if len(s.Images) != 2 {
		return codes.Errorf("MF-SCENARIO", "the record scene needs two images, or a data set to make them of; name either")
	}
	return nil
}

// enrol finds who takes part, enrols officer and patient, and has those publish
// their recipients who others encrypt to.
func (s *clinic) enrol(ctx context.Context) error {
	for _, o := range s.Network.Consortium().Organisations {
		switch {
		case o.Kind == collections.Hospital && s.hospital == "":
			s.hospital = o.Name
		case o.Kind.Member() && (s.replica == "" || o.Kind == collections.ResearchCentre):
			s.replica = o.Name
		}
		for _, identity := range o.Identities {
			switch {
			case identity.Role == consortium.RoleRequester && s.requester.name == "":
				s.requester = s.who(o.Name, o.Name, identity.Name)
			case identity.Role == consortium.RoleAuditor && s.auditor.name == "":
				s.auditor = s.who("auditor", o.Name, identity.Name)
			}
		}
	}
	if s.hospital == "" || s.replica == "" || s.requester.name == "" || s.auditor.name == "" {
		return codes.Errorf("MF-SCENARIO", "the record scene needs two members, a requester and an auditor; add them to consortium.yaml")
	}
	s.officer = s.who("hospital", s.hospital, "officer")
	s.patient = s.who("patient", s.hospital, record.NewPseudonym())
	for _, enrolled := range []struct {
		who
		role consortium.Role
	}{{s.officer, consortium.RoleCustodian}, {s.patient, consortium.RolePatient}} {
		if _, err := s.Network.Enrol(ctx, enrolled.organisation, enrolled.name, string(enrolled.role)); err != nil {
			return err
		}
	}
	for _, w := range []who{s.officer, s.patient, s.requester} {
		if err := s.run(ctx, w, nil, "identity", "publish"); err != nil {
			return err
		}
	}
	return nil
}

func (s *clinic) who(role, organisation, name string) who {
	return who{
		role: role, organisation: organisation, name: name,
		profile: s.Network.Profile(organisation), identity: s.Network.IdentityDir(organisation, name),
	}
}

// PatientIdentifier is the scene's patient's number at the hospital, which nobody else may
// learn, by the pseudonym.
func PatientIdentifier(pseudonym string) string { return "MRN-" + pseudonym }

// register adds the X-ray in two versions, and has the patient fetch the newest.
func (s *clinic) register(ctx context.Context) error {
	identifier := filepath.Join(s.Dir, "patient-identifier")
	if err := os.WriteFile(identifier, []byte(PatientIdentifier(s.patient.name)), 0o600); err != nil {
		return codes.Wrapf("MF-SCENARIO", "%w; make the folder writable", err)
	}
	defer os.Remove(identifier)
	common := []string{"--replica", s.Network.Profile(s.replica)}
	for version, image := range s.Images {
		args := append([]string{"record", "add", image}, common...)
		if version == 0 {
			args = append(args, "--patient", s.patient.name, "--patient-identifier-file", identifier)
		} else {
			args = append(args, "--record", s.record)
		}
		var added record.Added
		if err := s.run(ctx, s.officer, &added, args...); err != nil {
			return err
		}
		s.record = added.Record
		s.log("%s registers version %d of an X-ray, kept by %s", s.officer.organisation, added.Version, strings.Join(added.Holders, " and "))
	}
	output := filepath.Join(s.Dir, "patient.png")
	if err := s.run(ctx, s.patient, nil, "record", "get", s.record, "--out", output, "--force"); err != nil {
		return err
	}
	return s.same(output, s.Images[1])
}

// negotiate comes to an agreement on version 1.
func (s *clinic) negotiate(ctx context.Context) error {
	var offer consent.Offer
	if err := s.run(ctx, s.requester, &offer, "consent", "request", s.record, "--scope", "all-future", "--for", "8760h", "--purpose", purpose); err != nil {
		return err
	}
	s.consent = offer.Consent
	s.offered(offer, s.requester, "request")
	s.log("%s asks for all versions for a year", s.requester.role)
	period := s.Period.String()
	if err := s.run(ctx, s.patient, &offer, "consent", "counter", s.consent, "--scope", "this", "--version", "1", "--for", period, "--purpose", purpose); err != nil {
		return err
	}
	s.offered(offer, s.patient, "counter")
	s.log("the patient counters: version 1 only, for %s", period)
	if err := s.run(ctx, s.requester, nil, "consent", "accept", s.consent, "--offer", "2", "--digest", offer.Digest()); err != nil {
		return err
	}
	s.offered(offer, s.requester, "accept")
	s.log("%s accepts", s.requester.role)
	return s.run(ctx, s.officer, nil, "consent", "grant", s.consent)
}

func (s *clinic) offered(offer consent.Offer, by who, action string) {
	s.told.Offers = append(s.told.Offers, report.Offer{Version: offer.Offer, By: by.role, Action: action})
}

func (s *clinic) permitted(ctx context.Context) error {
	output := filepath.Join(s.Dir, "insurer.png")
	if err := s.open(ctx, 1, output, ""); err != nil {
		return err
	}
	s.log("%s opens version 1", s.requester.role)
	return s.same(output, s.Images[0])
}

func (s *clinic) deniedVersion(ctx context.Context) error {
	return s.open(ctx, 2, filepath.Join(s.Dir, "denied-version.png"), "MF-CONSENT-OUT-OF-SCOPE")
}

func (s *clinic) deniedAfterRevocation(ctx context.Context) error {
	if err := s.run(ctx, s.patient, nil, "consent", "revoke", s.consent, "--purge"); err != nil {
		return err
	}
	s.log("the patient revokes the consent")
	return s.open(ctx, 1, filepath.Join(s.Dir, "denied-revoked.png"), "MF-CONSENT-REVOKED")
}

// open has the grantee use the consent and expects one outcome: a permit, or a
// denial with that code and no file.
func (s *clinic) open(ctx context.Context, version int, output string, want codes.Code) error {
	var opened record.Opened
	err := s.run(ctx, s.requester, &opened, "access", "open", s.consent, "--version", fmt.Sprint(version), "--purpose", purpose, "--out", output, "--force")
	access := opened.Access
	if (err == nil) != (want == "") || access.Code != string(want) || access.Access == "" {
		return codes.Wrapf("MF-SCENARIO", "version %d came to %q with %q and not %q (%w); see the ledger", version, access.Decision, access.Code, want, err)
	}
	told := report.Access{Version: version, Decision: "permit", Code: access.Code}
	if want != "" {
		told.Decision = "denial"
		s.log("%s is denied version %d: %s", s.requester.role, version, want)
		if _, err := os.Stat(output); err == nil {
			return codes.Errorf("MF-SCENARIO", "version %d was denied and %s is there; report this", version, output)
		}
	}
	s.accesses = append(s.accesses, access)
	s.told.Accesses = append(s.told.Accesses, told)
	return nil
}

// audited reads the auditor's list, which must hold exactly what happened.
func (s *clinic) audited(ctx context.Context) error {
	var page consent.AccessPage
	if err := s.run(ctx, s.auditor, &page, "access", "list", "--by", "record", "--value", s.record); err != nil {
		return err
	}
	listed := map[string]consent.Access{}
	for _, access := range page.Accesses {
		listed[access.Access] = access
	}
	for _, access := range s.accesses {
		if listed[access.Access] != access {
			return codes.Errorf("MF-SCENARIO", "the auditor's list does not show access %s as it was; see the ledger", access.Access)
		}
	}
	if len(listed) != len(s.accesses) {
		return codes.Errorf("MF-SCENARIO", "the auditor's list shows %d accesses of %d; see the ledger", len(listed), len(s.accesses))
	}
	s.log("the auditor's list shows all %d accesses", len(listed))
	return nil
}

// same compares a fetched file with the one it was made of.
func (s *clinic) same(got, want string) error {
	a, err := os.ReadFile(got)
	if err != nil {
		return codes.Wrapf("MF-SCENARIO", "%w; see the scene's folder", err)
	}
	b, err := os.ReadFile(want)
	if err != nil || !bytes.Equal(a, b) {
		return errors.Join(err, codes.Errorf("MF-SCENARIO", "%s is not %s; report this", got, want))
	}
	return nil
}

// catchUp waits until the peer that an identity asks has every block that the
// peer of whoever acted last has: people act seconds apart, this scene does not.
func (s *clinic) catchUp(ctx context.Context, next who) error {
	last := s.last
	s.last = next
	if last.name == "" || last.organisation == next.organisation {
		return nil
	}
	target, err := height(ctx, last)
	for err == nil {
		var reached uint64
		if reached, err = height(ctx, next); err == nil && reached >= target {
			return nil
		}
	}
	return err
}

// height is how many blocks the peer that an identity asks has.
func height(ctx context.Context, w who) (uint64, error) {
	connection, err := session.Connect(w.profile, w.identity)
	if err != nil {
		return 0, err
	}
	blocks, err := connection.Height(ctx)
	return blocks, errors.Join(err, connection.Close())
}

// run is medfed as one of the identities. What it prints is read also when it
// fails: a denial is printed too.
func (s *clinic) run(ctx context.Context, w who, result any, args ...string) error {
	if err := s.catchUp(ctx, w); err != nil {
		return err
	}
	args = append(args, "--profile", w.profile, "--identity", w.identity, "--format", "json")
	cmd := exec.CommandContext(ctx, filepath.Join(s.Programs, "medfed"), args...)
	cmd.Env = ownEnvironment("")
	var out, complaint bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &complaint
	failed := cmd.Run()
	if result != nil && out.Len() > 0 {
		if err := json.Unmarshal(out.Bytes(), result); err != nil {
			return codes.Wrapf("MF-SCENARIO", "medfed %s %s printed no JSON: %w; report this", args[0], args[1], err)
		}
	}
	if failed != nil {
		return codes.Wrapf("MF-SCENARIO", "medfed %s %s failed (%w): %s; see the network's logs", args[0], args[1], failed, bytes.TrimSpace(complaint.Bytes()))
	}
	return nil
}
