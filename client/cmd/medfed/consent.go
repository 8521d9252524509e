package main

import (
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/medfed/medfed/chaincode/codes"
	"github.com/medfed/medfed/chaincode/consent"
	"github.com/medfed/medfed/chaincode/consortium"
	records "github.com/medfed/medfed/chaincode/record"
	"github.com/medfed/medfed/client/gateway"
	"github.com/medfed/medfed/client/record"
)

func newConsent(a *app) *cobra.Command {
	return group("consent", "Negotiate what a patient permits a third party, and end it",
		newConsentRequest(a), newConsentCounter(a), newConsentRenew(a), newConsentAccept(a), newConsentReject(a), newConsentWithdraw(a),
		newConsentRevoke(a), newConsentMarkEnteredInError(a), newConsentGrant(a), newConsentTerms(a), newConsentList(a), newConsentShow(a), newConsentPurposes(a), newConsentExport(a), newConsentImport(a))
}

func newConsentRequest(a *app) *cobra.Command {
	f := &termsFlags{}
	c := &cobra.Command{
		Use:   "request RECORD",
		Short: "Ask a patient for a consent: the first offer (role requester)",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := records.CheckRecordID(args[0]); err != nil {
				return err
			}
			o, err := f.offer(record.NewConsentID(), 1)
			if err != nil {
				return err
			}
			return a.offer(cmd.Context(), f, o, args[0], "", func(r gateway.Contracts, o offerDraft) (consent.Offer, error) {
				return r.Consents.Request(cmd.Context(), consent.AskRequest{
					Consent: o.Consent, Record: args[0], Terms: o.Terms, PrivateDigest: o.PrivateDigest, Expires: o.Expires,
				})
			})
		},
	}
	f.bind(c)
	return c
}

func newConsentCounter(a *app) *cobra.Command {
	return newNextOffer(a, "counter", "Answer the open offer with another one", gateway.Consents.Counter)
}

func newConsentRenew(a *app) *cobra.Command {
	return newNextOffer(a, "renew", "Offer a next version of a consent; the one in force stays until it is accepted", gateway.Consents.Renew)
}

// newNextOffer is a command that makes the offer after the newest.
func newNextOffer(a *app, use, short string, submit func(gateway.Consents, context.Context, consent.OfferRequest) (consent.Offer, error)) *cobra.Command {
	f := &termsFlags{}
	c := &cobra.Command{
		Use:   use + " CONSENT",
		Short: short,
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := consent.CheckConsentID(args[0]); err != nil {
				return err
			}
			if _, err := f.terms(); err != nil {
				return err
			}
			state, err := getConsent(cmd.Context(), a, args[0])
			if err != nil {
				return err
			}
			o, err := f.offer(args[0], state.Consent.Offers+1)
			if err != nil {
				return err
			}
			return a.offer(cmd.Context(), f, o, state.Consent.Record, state.Consent.Grantee, func(r gateway.Contracts, o offerDraft) (consent.Offer, error) {
				return submit(r.Consents, cmd.Context(), o.OfferRequest)
			})
		},
	}
	f.bind(c)
	return c
}

// offer makes an offer on a record to a grantee, "" for whoever asks. Private terms go to
// the custodian's collection at once when the patient makes it; a grantee hands them over
// as a file.
func (a *app) offer(ctx context.Context, f *termsFlags, o offerDraft, rec, grantee string, submit func(gateway.Contracts, offerDraft) (consent.Offer, error)) error {
	var made consent.Offer
	err := a.records(nil, func(c *record.Client) (err error) {
		if grantee == "" {
			grantee = c.ID
		}
		if err := o.seal(ctx, c, rec, grantee); err != nil {
			return err
		}
		if err := f.keepPrivate(o); err != nil {
			return err
		}
		if made, err = submit(c.Ledger, o); err != nil || o.sealed == nil || c.Role != consortium.RolePatient {
			return err
		}
		state, err := c.Ledger.Consents.Get(ctx, consent.ConsentRequest{Consent: made.Consent})
		if err != nil {
			return err
		}
		made, err = c.Ledger.Consents.PutTerms(ctx, state.Consent.Custodian, *o.sealed)
		return err
	})
	if err != nil {
		return err
	}
	return a.print(made, func(w io.Writer) {
		fmt.Fprintf(w, "consent\t%s\n", made.Consent)
		printOffer(w, made)
	})
}

func printOffer(w io.Writer, o consent.Offer) {
	fmt.Fprintf(w, "offer\t%d by %s (%s)\n", o.Offer, o.By, o.Side)
	fmt.Fprintf(w, "versions\t%s\nperiod\t%s\npurposes\t%s\ncompensation\t%s\n", scopeInWords(o.Terms.Scope), periodInWords(o.Terms.Period),
		strings.Join(o.Terms.Purposes, ", "), o.Terms.Compensation)
	if o.Expires != 0 {
		fmt.Fprintf(w, "expires\t%s\n", moment(o.Expires))
	}
	fmt.Fprintf(w, "digest\t%s\n", o.Digest())
}

func scopeInWords(s consent.Scope) string {
	switch s.Kind {
	case consent.ScopeThis:
		return fmt.Sprintf("%d only", s.Version)
	case consent.ScopeUpTo:
		return fmt.Sprintf("up to %d", s.Version)
	default:
		return string(s.Kind)
	}
}

func periodInWords(p consent.Period) string {
	from := "from the acceptance"
	if p.From != 0 {
		from = "from " + moment(p.From)
	}
	return from + " until " + moment(p.Until)
}

func newConsentAccept(a *app) *cobra.Command {
	var offer int
	var digest, recipient string
	var grant bool
	c := &cobra.Command{
		Use:   "accept CONSENT --offer N",
		Short: "Agree to one exact offer of the other side",
		Long: `Agree to one exact offer of the other side. The signature is over the offer's
digest, so its terms can't change under it; --digest insists on the one you have
seen. With --grant a patient grants what was agreed on at once; otherwise the
custodian does, with "consent grant".`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := checkAnswer(args[0], offer); err != nil {
				return err
			}
			return accept(cmd.Context(), a, args[0], offer, digest, recipient, grant || recipient != "")
		},
	}
	c.Flags().IntVar(&offer, "offer", 0, "number of the offer")
	c.Flags().StringVar(&digest, "digest", "", "the offer's digest, as consent show prints it (default that of the ledger's offer)")
	c.Flags().BoolVar(&grant, "grant", false, "grant at once what is agreed on")
	c.Flags().StringVar(&recipient, "recipient", "", "grant to this age recipient of the grantee's and not to the one in the directory")
	return c
}

// accepted is what "consent accept" prints.
type accepted struct {
	Agreement consent.Agreement `json:"agreement"`
	Granted   []record.Granted  `json:"granted"`
}

func accept(ctx context.Context, a *app, id string, offer int, digest, recipient string, grant bool) error {
	state, err := getConsent(ctx, a, id)
	if err != nil {
		return err
	}
	if offer > len(state.Offers) {
		return codes.Errorf("MF-OFFER-UNKNOWN", "the consent has no offer %d; look at the consent", offer)
	}
	seen := state.Offers[offer-1].Digest()
	if digest != "" && digest != seen {
		return codes.Errorf("MF-OFFER-DIGEST", "offer %d has the digest %s and not the one you name; look at the offer again", offer, seen)
	}
	result := accepted{Granted: []record.Granted{}}
	return a.records(nil, func(c *record.Client) error {
		if state.Offers[offer-1].PrivateDigest != "" { // which the ledger can't read
			if _, err := c.Terms(ctx, id, offer); err != nil {
				return err
			}
		}
		result.Agreement, err = c.Ledger.Consents.Accept(ctx, consent.AcceptRequest{Consent: id, Offer: offer, Digest: seen})
		if err == nil && grant {
			result.Granted, err = c.GrantAll(ctx, id, recipient)
		}
		if err != nil {
			return err
		}
		return a.print(result, func(w io.Writer) {
			t := result.Agreement.Terms
			fmt.Fprintf(w, "consent\t%s, version %d\nversions\t%s\nperiod\t%s\ngranted\t%d versions\n", id, result.Agreement.Version,
				scopeInWords(t.Scope), periodInWords(t.Period), len(result.Granted))
		})
	})
}

func checkAnswer(id string, offer int) error {
	if err := consent.CheckConsentID(id); err != nil {
		return err
	}
	if offer < 1 {
		return usage("no --offer is named; name the number of the offer you mean, from 1")
	}
	return nil
}

func newConsentReject(a *app) *cobra.Command {
	return newDecline(a, "reject", "Refuse an offer of the other side", gateway.Consents.Reject)
}

func newConsentWithdraw(a *app) *cobra.Command {
	return newDecline(a, "withdraw", "Take your own offer back", gateway.Consents.Withdraw)
}

func newDecline(a *app, use, short string, submit func(gateway.Consents, context.Context, consent.AnswerRequest) (consent.Consent, error)) *cobra.Command {
	var offer int
	c := &cobra.Command{
		Use:   use + " CONSENT --offer N",
		Short: short,
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := checkAnswer(args[0], offer); err != nil {
				return err
			}
			now, err := ask(a, func(r gateway.Contracts, _ *gateway.Identity) (consent.Consent, error) {
				return submit(r.Consents, cmd.Context(), consent.AnswerRequest{Consent: args[0], Offer: offer})
			})
			if err != nil {
				return err
			}
			return a.print(now, func(w io.Writer) { fmt.Fprintf(w, "consent\t%s\nstatus\t%s\n", now.Consent, statusInWords(now)) })
		},
	}
	c.Flags().IntVar(&offer, "offer", 0, "number of the offer")
	return c
}

func statusInWords(c consent.Consent) string {
	if c.Reason != "" {
		return fmt.Sprintf("%s, %s", c.Status, c.Reason)
	}
	return string(c.Status)
}

func newConsentRevoke(a *app) *cobra.Command {
	return newEnd(a, "revoke", "End everything agreed and offered in a consent (role patient)", "",
		func(ctx context.Context, c gateway.Consents, id string) (consent.Revocation, error) {
			state, err := c.Get(ctx, consent.ConsentRequest{Consent: id})
			if err != nil {
				return consent.Revocation{}, err
			}
			return c.Revoke(ctx, consent.RevokeRequest{Consent: id, Number: state.Revocation.Number + 1})
		})
}

func newConsentMarkEnteredInError(a *app) *cobra.Command {
	return newEnd(a, "mark-entered-in-error", "Say that a consent was entered in error and is not valid; this is final (role patient)",
		`Give a consent FHIR's status entered-in-error: it was created wrongly, for instance
for another patient's record, and is not valid. Everything agreed and offered in it
ends, and nothing can be offered in it again. What was logged stays on the ledger. A
consent that was right and is to end is revoked.`,
		func(ctx context.Context, c gateway.Consents, id string) (consent.Revocation, error) {
			return c.MarkEnteredInError(ctx, consent.ConsentRequest{Consent: id})
		})
}

// newEnd is a command by which a patient ends a consent.
func newEnd(a *app, use, short, long string, end func(context.Context, gateway.Consents, string) (consent.Revocation, error)) *cobra.Command {
	var purge bool
	c := &cobra.Command{
		Use:   use + " CONSENT",
		Short: short,
		Long:  long,
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := consent.CheckConsentID(args[0]); err != nil {
				return err
			}
			return a.records(nil, func(c *record.Client) error {
				done, err := end(cmd.Context(), c.Ledger.Consents, args[0])
				if err == nil && purge {
					err = purgeGrants(cmd.Context(), c, args[0])
				}
				if err != nil {
					return err
				}
				return a.print(done, func(w io.Writer) { printEnd(w, args[0], done, purge) })
			})
		},
	}
	c.Flags().BoolVar(&purge, "purge", false, "also purge the grants from the custodian's collection and take the ciphertexts back from the public IPFS")
	return c
}

// purgeGrants removes what a consent that has ended has left for the grantee.
func purgeGrants(ctx context.Context, c *record.Client, id string) error {
	if _, err := c.Ledger.Accesses.PurgeGrants(ctx, consent.ConsentRequest{Consent: id}); err != nil {
		return err
	}
	return c.Unpublish(ctx, id)
}

func printEnd(w io.Writer, id string, r consent.Revocation, purged bool) {
	what := "revoked"
	if r.EnteredInError {
		what = "entered in error"
	}
	fmt.Fprintf(w, "consent\t%s\n%s\t%s by %s\ngrants purged\t%s\n", id, what, moment(r.At), r.By, yesOrNo(purged))
}

func newConsentGrant(a *app) *cobra.Command {
	var version int
	var recipient string
	c := &cobra.Command{
		Use:   "grant CONSENT",
		Short: "Wrap the keys for the grantee and publish the ciphertexts that a consent is for",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := consent.CheckConsentID(args[0]); err != nil {
				return err
			}
			if version < 0 {
				return usage("--version is %d; versions are counted from 1", version)
			}
			return a.records(nil, func(c *record.Client) error {
				granted, err := grant(cmd.Context(), c, args[0], version, recipient)
				if err != nil {
					return err
				}
				return a.print(granted, func(w io.Writer) {
					fmt.Fprintln(w, "RECORD\tVERSION\tBY\tGRANT'S DIGEST")
					for _, g := range granted {
						fmt.Fprintf(w, "%s\t%d\t%s\t%s\n", g.Record, g.Version, g.Writer, g.Digest)
					}
				})
			})
		},
	}
	c.Flags().IntVar(&version, "version", 0, "version to grant (default all that the consent is for)")
	c.Flags().Lookup("version").DefValue = "0"
	c.Flags().StringVar(&recipient, "recipient", "", "the grantee's age recipient (default the one in the directory)")
	return c
}

func grant(ctx context.Context, c *record.Client, id string, version int, recipient string) ([]record.Granted, error) {
	if version == 0 {
		return c.GrantAll(ctx, id, recipient)
	}
	granted, err := c.Grant(ctx, id, version, recipient)
	return []record.Granted{granted}, err
}

func getConsent(ctx context.Context, a *app, id string) (consent.State, error) {
	return ask(a, func(r gateway.Contracts, _ *gateway.Identity) (consent.State, error) {
		return r.Consents.Get(ctx, consent.ConsentRequest{Consent: id})
	})
}

func newConsentList(a *app) *cobra.Command {
	by, value := choice{"", []string{"patient", "grantee", "record"}}, ""
	c := &cobra.Command{
		Use:   "list",
		Short: "List consents, by default those you are a side of, or as an officer those on the hospital's records",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := checkList(by.value, value, ""); err != nil {
				return err
			}
			found, err := ask(a, func(r gateway.Contracts, who *gateway.Identity) ([]consent.Consent, error) {
				if by.value == "" {
					by.value, value = ownList(who)
				}
				if by.value == ownedByCustodian {
					return gateway.Collect(r.ConsentsOfCustodian(cmd.Context(), value))
				}
				return gateway.Collect(r.Consents.List(cmd.Context(), by.value, value))
			})
			if err != nil {
				return err
			}
			return a.print(found, func(w io.Writer) {
				fmt.Fprintln(w, "CONSENT\tSTATUS\tRECORD\tGRANTEE\tPATIENT\tOPEN OFFER\tCHANGED")
				for _, c := range found {
					fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n", c.Consent, statusInWords(c), c.Record, c.Grantee, c.Patient, openOffer(c), moment(c.ChangedAt))
				}
			})
		},
	}
	c.Flags().Var(&by, "by", "which list; default your own")
	c.Flags().StringVar(&value, "value", "", "with --by: "+listValues)
	return c
}

func openOffer(c consent.Consent) string {
	if c.Open == 0 {
		return "–"
	}
	return fmt.Sprintf("%d by the %s", c.Open, c.OpenBy)
}

func newConsentShow(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "show CONSENT",
		Short: "Show where a consent stands, its offers and its versions",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := consent.CheckConsentID(args[0]); err != nil {
				return err
			}
			state, err := getConsent(cmd.Context(), a, args[0])
			if err != nil {
				return err
			}
			return a.print(state, func(w io.Writer) { printConsent(w, state) })
		},
	}
}

func printConsent(w io.Writer, s consent.State) {
	c := s.Consent
	fmt.Fprintf(w, "consent\t%s, %s\nrecord\t%s\ncustodian\t%s\npatient\t%s\ngrantee\t%s\nopen offer\t%s\nrevoked\t%d times\n",
		c.Consent, statusInWords(c), c.Record, c.Custodian, c.Patient, c.Grantee, openOffer(c), s.Revocation.Number)
	for _, o := range s.Offers {
		fmt.Fprintln(w)
		printOffer(w, o)
	}
	for _, agreement := range s.Agreements {
		fmt.Fprintf(w, "\nagreed\tversion %d on offer %d, %s by %s\n", agreement.Version, agreement.Offer, moment(agreement.AcceptedAt), agreement.AcceptedBy)
	}
}

func newConsentPurposes(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "purposes",
		Short: "List the codes of HL7's PurposeOfUse that a consent may name",
		Args:  cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			return a.print(consent.Purposes(), func(w io.Writer) {
				fmt.Fprintln(w, hang("", strings.Join(consent.Purposes(), " ")))
			})
		},
	}
}
