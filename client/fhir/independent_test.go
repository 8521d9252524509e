package fhir

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// validators is the folder of the independent validators; npm ci in it installs
// them.
const validators = "../../.ci/fhir"

// TestIndependentValidatorsAcceptTheExports has validators that know nothing of
// medfed look at exports of both releases: all are accepted, and each damage is
// found. R4: npm package fhir. R5: @atomic-ehr/fhirschema with HL7's own
// definitions, hl7.fhir.r5.core.
func TestIndependentValidatorsAcceptTheExports(t *testing.T) {
	node, err := exec.LookPath("node")
	if err != nil {
		t.Skip("no node: the independent validators of FHIR are not asked")
	}
	if _, err := os.Stat(filepath.Join(validators, "node_modules")); err != nil {
		t.Skip("npm ci was not run in .ci/fhir: the independent validators of FHIR are not asked")
	}
	for _, release := range Releases() {
		t.Run(string(release), func(t *testing.T) {
			folder := t.TempDir()
			write := func(name string, text []byte) string {
				path := filepath.Join(folder, name)
				if err := os.WriteFile(path, text, 0o600); err != nil {
					t.Fatal(err)
				}
				return path
			}
			files := []string{filepath.Join(validators, "validate.mjs"), string(release)}
			damaged := map[string]string{}
			for seed := range 20 {
				text, err := Export(states().Example(seed), release)
				if err != nil {
					t.Fatal(err)
				}
				files = append(files, write(fmt.Sprintf("%d.json", seed), text))
			}
			text, err := Export(sample(), release)
			if err != nil {
				t.Fatal(err)
			}
			for n, change := range damages[release] {
				bad := bytes.Replace(text, []byte(change[0]), []byte(change[1]), 1)
				if bytes.Equal(text, bad) {
					t.Fatalf("%s is not in the export", change[0])
				}
				path := write(fmt.Sprintf("bad-%d.json", n), bad)
				files, damaged[path] = append(files, path), change[1]
			}
			out, err := exec.CommandContext(t.Context(), node, files...).Output()
			if err != nil {
				t.Fatalf("%v: %s", err, err.(*exec.ExitError).Stderr)
			}
			looked := 0
			lines := bufio.NewScanner(bytes.NewReader(out))
			lines.Buffer(nil, 1<<20)
			for ; lines.Scan(); looked++ {
				var found struct {
					File   string
					Errors []Problem
				}
				if err := json.Unmarshal(lines.Bytes(), &found); err != nil {
					t.Fatal(err)
				}
				if bad := damaged[found.File]; (bad != "") != (len(found.Errors) > 0) {
					t.Errorf("%s, damaged by %q: %s", filepath.Base(found.File), bad, lines.Bytes())
				}
			}
			if looked != len(files)-2 {
				t.Errorf("%d of %d files were looked at", looked, len(files)-2)
			}
			t.Logf("%d exports accepted, %d damaged ones refused", looked-len(damaged), len(damaged))
		})
	}
}

// damages are changes that a validator must find.
var damages = map[Release][][2]string{
	R4: {{`"status": "`, `"stauts": "`}, {`"category": [`, `"categories": [`}, {`"scope": {`, `"scopes": {`}, {`"dateTime": "20`, `"dateTime": "2O`}},
	R5: {
		{`"status": "`, `"stauts": "`}, {`"meaning": "instance"`, `"meaning": "example"`}, {`"grantor": [`, `"performer": [`},
		{`"decision": "deny"`, `"decision": "maybe"`}, {`"date": "2023-11-14"`, `"date": 7`}, {`"subject": {`, `"sub_ject": {`},
	},
}
