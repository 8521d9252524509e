package gateway_test

import (
	"context"
	"encoding/json"
	"fmt"
	"testing"

	"github.com/medfed/medfed/chaincode/consent"
	"github.com/medfed/medfed/client/gateway"
)

// hospital is a ledger on which a custodian has two records.
type hospital struct{ gateway.PrivateCaller }

func (hospital) Evaluate(_ context.Context, name string, request, result any) error {
	text, err := json.Marshal(request)
	if err != nil {
		return err
	}
	answers := map[string]string{
		`record:List {"by":"custodian","value":"AMSP"`:                       `{"records":[{"record":"r-1"},{"record":"r-2"}]}`,
		`consent:List {"by":"record","value":"r-1"`:                          `{"consents":[{"consent":"c-1"}]}`,
		`consent:List {"by":"record","value":"r-2"`:                          `{"consents":[{"consent":"c-2"},{"consent":"c-3"}]}`,
		`audit:ListAccesses {"by":"record","value":"r-1","from":5,"until":9`: `{"accesses":[{"access":"a-1","at":8},{"access":"a-2","at":6}]}`,
		`audit:ListAccesses {"by":"record","value":"r-2","from":5,"until":9`: `{"accesses":[{"access":"a-3","at":7}]}`,
	}
	for asked, answer := range answers {
		if said := name + " " + string(text); len(said) > len(asked) && said[:len(asked)] == asked {
			return json.Unmarshal([]byte(answer), result)
		}
	}
	return fmt.Errorf("nobody asks %s %s", name, text)
}

func TestACustodianSeesWhatConcernsItsRecords(t *testing.T) {
	c := gateway.ContractsOf(hospital{})
	consents, err := gateway.Collect(c.ConsentsOfCustodian(t.Context(), "AMSP"))
	if err != nil || fmt.Sprint(ids(consents, func(c consent.Consent) string { return c.Consent })) != "[c-1 c-2 c-3]" {
		t.Errorf("%v, %v", consents, err)
	}
	accesses, err := c.AccessesOfCustodian(t.Context(), "AMSP", 5, 9)
	if err != nil || fmt.Sprint(ids(accesses, func(a consent.Access) string { return a.Access })) != "[a-1 a-3 a-2]" {
		t.Errorf("%v, %v: newest first", accesses, err)
	}
	if _, err := c.AccessesOfCustodian(t.Context(), "BMSP", 0, 0); err == nil {
		t.Error("an error of the ledger is lost")
	}
}

func ids[T any](all []T, id func(T) string) []string {
	var found []string
	for _, item := range all {
		found = append(found, id(item))
	}
	return found
}
