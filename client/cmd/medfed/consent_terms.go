package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/medfed/medfed/chaincode/codes"
	"github.com/medfed/medfed/chaincode/consent"
	"github.com/medfed/medfed/chaincode/form"
	"github.com/medfed/medfed/client/gateway"
	"github.com/medfed/medfed/client/record"
)

// termsFlags are the terms of an offer as flags.
type termsFlags struct {
	scope                choice
	version              int
	from, until, expires string
	last                 time.Duration
	purposes             []string
	compensation         choice
	private, privateOut  string
}

// offerDraft is an offer with its private terms, if any.
type offerDraft struct {
	consent.OfferRequest
	private *consent.PrivateTerms
	sealed  *consent.SealedTerms
}

func (f *termsFlags) bind(c *cobra.Command) {
	f.scope = choice{string(consent.ScopeThis), []string{string(consent.ScopeThis), string(consent.ScopeUpTo), string(consent.ScopeAllFuture)}}
	f.compensation = choice{string(consent.CompensationNone), []string{string(consent.CompensationNone), string(consent.CompensationMoney), string(consent.CompensationCare)}}
	flags := c.Flags()
	flags.Var(&f.scope, "scope", "versions it is for: --version only, all up to --version, or all there are and will be")
	flags.IntVar(&f.version, "version", 0, "version of the scope")
	flags.Lookup("version").DefValue = "0"
	flags.StringVar(&f.from, "from", "", "when the period begins, RFC 3339 (default with the acceptance)")
	flags.StringVar(&f.until, "until", "", "when the period ends, RFC 3339")
	flags.DurationVar(&f.last, "for", 0, "when the period ends, counted from now, for instance 720h")
	flags.Lookup("for").DefValue = "0"
	flags.StringArrayVar(&f.purposes, "purpose", nil, "HL7 PurposeOfUse code, for instance HPAYMT; may be repeated")
	flags.Var(&f.compensation, "compensation", "what the grantee gives in return")
	flags.StringVar(&f.private, "private-terms", "", "JSON file with amount (in the currency's smallest unit), currency, care or note, which only the two sides can open")
	flags.StringVar(&f.privateOut, "private-terms-out", "", "file to write the sealed private terms to, for the patient to put with consent terms put")
	flags.StringVar(&f.expires, "expires", "", "when the offer itself can't be accepted any more, RFC 3339 (default never)")
}

// terms reads the public terms.
func (f *termsFlags) terms() (consent.Terms, error) {
	t := consent.Terms{
		Scope: consent.Scope{Kind: consent.ScopeKind(f.scope.value), Version: f.version}, Purposes: slices.Clone(f.purposes),
		Compensation: consent.Compensation(f.compensation.value),
	}
	slices.Sort(t.Purposes)
	if f.until != "" && f.last != 0 {
		return t, usage("--until and --for both name the end of the period; use one of them")
	}
	now := time.Now()
	var err error
	if t.Period.From, err = unixOf("--from", f.from); err != nil {
		return t, err
	}
	if t.Period.Until, err = unixOf("--until", f.until); err != nil {
		return t, err
	}
	if f.last != 0 {
		t.Period.Until = now.Add(f.last).Unix()
	}
	switch {
	case t.Period.Until == 0:
		return t, usage("no end of the period is named; use --until or --for")
	case len(t.Purposes) == 0:
		return t, usage("no --purpose is named; use a code of HL7's PurposeOfUse, for instance HPAYMT")
	case t.Scope.Kind != consent.ScopeAllFuture && f.version == 0:
		return t, usage("no --version is named; --scope %s needs one", t.Scope.Kind)
	}
	return t, consent.CheckTerms(t, now.Unix(), 0)
}

// unixOf reads a time flag, "" as 0.
func unixOf(flag, text string) (int64, error) {
	if text == "" {
		return 0, nil
	}
	at, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return 0, usage("%s is %q; write it like 2026-12-31T12:00:00Z", flag, text)
	}
	return at.Unix(), nil
}

// offer makes the draft of an offer.
func (f *termsFlags) offer(id string, number int) (offerDraft, error) {
	o := offerDraft{OfferRequest: consent.OfferRequest{Consent: id, Offer: number}}
	var err error
	if o.Terms, err = f.terms(); err != nil {
		return o, err
	}
	if o.Expires, err = unixOf("--expires", f.expires); err != nil {
		return o, err
	}
	if f.private == "" {
		if o.Terms.Compensation != consent.CompensationNone {
			return o, usage("--compensation is %s; say how much or what in a file, --private-terms", o.Terms.Compensation)
		}
		return o, nil
	}
	if o.private, err = readPrivateTerms(f.private); err != nil {
		return o, err
	}
	o.private.Consent, o.private.Offer = id, number
	return o, consent.CheckPrivateTerms(*o.private, o.Terms.Compensation)
}

func readPrivateTerms(path string) (*consent.PrivateTerms, error) {
	terms := new(consent.PrivateTerms)
	return terms, readTermsFile(path, terms, "private terms; use the fields amount, currency, care and note")
}

// readTermsFile reads a file of terms, which are called what is said.
func readTermsFile(path string, terms any, called string) error {
	file, err := os.Open(path)
	if err != nil {
		return usage("the private terms can't be read: %v; name a file that can", err)
	}
	defer file.Close()
	decoder := json.NewDecoder(io.LimitReader(file, 1<<16))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(terms); err != nil {
		// The decoder's words may quote the file, which is private.
		return usage("%s is no JSON object of %s", path, called)
	}
	return nil
}

// seal encrypts the private terms of an offer on a record to its two sides.
func (o *offerDraft) seal(ctx context.Context, c *record.Client, rec, grantee string) error {
	if o.private == nil {
		return nil
	}
	sealed, err := c.SealTerms(ctx, rec, grantee, *o.private)
	o.sealed, o.PrivateDigest = &sealed, form.Digest(sealed)
	return err
}

// keepPrivate writes the sealed private terms where the user asks for them, before the
// offer that they belong to is made.
func (f *termsFlags) keepPrivate(o offerDraft) error {
	if f.privateOut == "" {
		return nil
	}
	if o.sealed == nil {
		return usage("--private-terms-out is named and --private-terms is not; there is nothing to write")
	}
	text, err := json.MarshalIndent(o.sealed, "", "  ")
	if err == nil {
		err = os.WriteFile(f.privateOut, append(text, '\n'), 0o600)
	}
	if err != nil {
		return codes.Wrapf("MF-WRITE-OUTPUT", "the private terms can't be written: %w; name another file", err)
	}
	return nil
}

func newConsentTerms(a *app) *cobra.Command {
	return group("terms", "Put or read the private terms of an offer", newTermsPut(a), newTermsShow(a))
}

func newTermsPut(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "put FILE",
		Short: "Put the sealed private terms that the other side handed over into the custodian's collection (patient or officer)",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			var terms consent.SealedTerms
			if err := readTermsFile(args[0], &terms, "sealed terms; use the file that --private-terms-out wrote"); err != nil {
				return err
			}
			if err := checkAnswer(terms.Consent, terms.Offer); err != nil {
				return err
			}
			offer, err := ask(a, func(r gateway.Contracts, _ *gateway.Identity) (consent.Offer, error) {
				state, err := r.Consents.Get(cmd.Context(), consent.ConsentRequest{Consent: terms.Consent})
				if err != nil {
					return consent.Offer{}, err
				}
				return r.Consents.PutTerms(cmd.Context(), state.Consent.Custodian, terms)
			})
			if err != nil {
				return err
			}
			return a.print(offer, func(w io.Writer) { printOffer(w, offer) })
		},
	}
}

func newTermsShow(a *app) *cobra.Command {
	var offer int
	c := &cobra.Command{
		Use:   "show CONSENT --offer N",
		Short: "Read the private terms of an offer from the custodian's peer (patient or grantee)",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := checkAnswer(args[0], offer); err != nil {
				return err
			}
			var terms consent.PrivateTerms
			err := a.records(nil, func(c *record.Client) (err error) {
				terms, err = c.Terms(cmd.Context(), args[0], offer)
				return err
			})
			if err != nil {
				return err
			}
			return a.print(terms, func(w io.Writer) {
				fmt.Fprintf(w, "amount\t%d %s\ncare\t%s\nnote\t%s\n", terms.Amount, terms.Currency, orDash(terms.Care), orDash(terms.Note))
			})
		},
	}
	c.Flags().IntVar(&offer, "offer", 0, "number of the offer")
	return c
}
