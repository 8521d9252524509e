package consortium_test

import (
	"strings"
	"testing"

	"github.com/medfed/medfed/chaincode/codes"
	"github.com/medfed/medfed/chaincode/consortium"
)

// Every role passes where it is among those let in, and nowhere else; a certificate
// without a role, or with one that there is not, passes nowhere.
func TestMustBe(t *testing.T) {
	roles := consortium.Roles()
	for _, have := range append(roles, "", "administrator", "Patient") {
		caller := consortium.Caller{ID: "Hospital1MSP/ada", MSP: "Hospital1MSP", Name: "ada", Role: have}
		for set := range 1 << len(roles) {
			var let []consortium.Role
			var names []string
			for i, role := range roles {
				if set&(1<<i) != 0 {
					let, names = append(let, role), append(names, string(role))
				}
			}
			want := codes.Code("MF-ROLE-DENIED")
			switch in := strings.Contains(" "+strings.Join(names, " ")+" ", " "+string(have)+" "); {
			case have == "":
				want = "MF-ROLE-MISSING"
			case in:
				want = ""
			}
			err := caller.MustBe(let...)
			if codes.Of(err) != want || err == nil != (want == "") {
				t.Fatalf("%q among %v: %v, want %q", have, let, err, want)
			}
			if err != nil && !strings.HasSuffix(err.Error(), strings.Join(names, " or ")) {
				t.Fatalf("%v does not name %v", err, names)
			}
		}
	}
}

// A role is named once: in certificates it is only a word.
func TestRolesAreDifferentWords(t *testing.T) {
	seen := map[consortium.Role]bool{}
	for _, role := range consortium.Roles() {
		if seen[role] || role == "" || strings.ToLower(string(role)) != string(role) {
			t.Errorf("%q", role)
		}
		seen[role] = true
	}
}
