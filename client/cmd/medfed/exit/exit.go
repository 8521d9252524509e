// Package exit maps medfed's error codes to the exit statuses of the command
// line. The statuses are an interface: scripts depend on them, so a status is
// never given another meaning.
package exit

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/medfed/medfed/chaincode/codes"
)

// The exit statuses of the medfed command.
const (
	OK          = 0
	Internal    = 1
	Usage       = 2
	Refused     = 3
	Denied      = 4
	NotFound    = 5
	Unreachable = 6
	Corrupt     = 7
	Setup       = 8
	Data        = 9
	Write       = 10
	Network     = 11
	Interrupted = 130 // 128 + SIGINT, as shells have it
)

// Status is one exit status and the error codes that lead to it.
type Status struct {
	Exit     int      `json:"exit"`
	Meaning  string   `json:"meaning"`
	Prefixes []string `json:"codes"` // a code belongs to the longest prefix it begins with
}

// Table lists every exit status in ascending order.
func Table() []Status {
	return []Status{
		{OK, "done", nil},
		{Internal, "a fault of medfed itself, or an error without a code", []string{
			"MF-CHAINCODE", "MF-FEATURES-BACKBONE", "MF-FHIR-EXPORT", "MF-GATEWAY-RESULT", "MF-INTERNAL", "MF-LEDGER", "MF-PRIVATE-READ", "MF-REPORT", "MF-SCENARIO",
		}},
		{Usage, "a command, flag or argument is wrong", []string{"MF-FHIR-RELEASE", "MF-SIMULATE", "MF-USAGE"}},
		{Refused, "the ledger's rules refuse it", []string{
			"MF-ACCESS", "MF-ARGUMENT", "MF-ATTESTATION", "MF-COMMITMENT", "MF-CONSENT", "MF-ERASURE", "MF-GATEWAY-INVALID", "MF-GATEWAY-POLICY",
			"MF-GATEWAY-REFUSED", "MF-GRANT", "MF-HOSPITAL-KEY", "MF-IDENTIFIER", "MF-INGEST-ASSIGNED", "MF-KEY", "MF-LIST", "MF-MODEL-CID", "MF-MODEL-DIGEST", "MF-MODEL-SIZE", "MF-NODE", "MF-OFFER",
			"MF-PAGE", "MF-PATIENT", "MF-PRIVACY", "MF-PRIVATE", "MF-PROPOSAL", "MF-RECIPIENT", "MF-RECORD", "MF-REVEAL", "MF-REVOCATION", "MF-ROUND", "MF-SALT", "MF-TASK",
			"MF-TERMS", "MF-TRANSACTION", "MF-TRANSIENT", "MF-UPDATE", "MF-VERSION",
		}},
		{Denied, "this identity may not do it", []string{
			"MF-ACCESS-DENIED", "MF-CONSENT-DENIED", "MF-GATEWAY-DENIED", "MF-IDENTITY-UNREADABLE", "MF-LIST-DENIED", "MF-NODE-ROLE", "MF-PRIVATE-WRITE", "MF-RECIPIENT-DENIED", "MF-RECORD-DENIED",
			"MF-ROLE", "MF-ROUND-NOT-MASTER", "MF-ROUND-NOT-TRAINER", "MF-TASK-DENIED",
		}},
		{NotFound, "there is no such task, round, node or content", []string{
			"MF-ACCESS-UNKNOWN", "MF-CONSENT-UNKNOWN", "MF-INGEST-ENTRY", "MF-IPFS-NOT-FOUND", "MF-KEYSTORE-MISSING", "MF-KEY-UNKNOWN", "MF-NODE-UNKNOWN", "MF-OFFER-UNKNOWN", "MF-RECIPIENT-UNKNOWN", "MF-RECORD-UNKNOWN",
			"MF-ROUND-GONE", "MF-ROUND-NO-GLOBAL", "MF-ROUND-UNKNOWN", "MF-TASK-UNKNOWN", "MF-VERSION-UNKNOWN",
		}},
		{Unreachable, "a peer, orderer or IPFS node does not answer or is too busy; try again", []string{"MF-GATEWAY", "MF-IPFS-KEPT", "MF-IPFS-RPC", "MF-IPFS-TIMEOUT", "MF-IPFS-UNREACHABLE"}},
		{Corrupt, "content is damaged, forged or not addressed to this identity", []string{
			"MF-AUDIT", "MF-ENVELOPE-CORRUPT", "MF-ENVELOPE-NOT-RECIPIENT", "MF-IPFS-ADD", "MF-IPFS-CID", "MF-IPFS-CORRUPT", "MF-IPFS-DAG", "MF-LEDGER-CORRUPT",
			"MF-GRANT-FORGED", "MF-INGEST-DIGEST", "MF-MODEL-MISMATCH", "MF-RECORD-MISMATCH", "MF-WEIGHTS",
		}},
		{Setup, "the connection profile, identity or another setting is wrong", []string{
			"MF-ENVELOPE-EXPOSED", "MF-ENVELOPE-IDENTITY", "MF-ENVELOPE-RECIPIENT", "MF-GATEWAY-CLOCK", "MF-GATEWAY-IDENTITY", "MF-GATEWAY-PROFILE",
			"MF-IDENTITY", "MF-INGEST-FOLDER", "MF-INGEST-RUNNING", "MF-IPFS-CONFIG", "MF-IPFS-TOKEN", "MF-KEYSTORE-FOLDER", "MF-NETWORK-CONSORTIUM", "MF-NODE-CONFIG", "MF-NODE-RUNNING", "MF-PROFILE",
		}},
		{Data, "the data set, the training or a document is wrong", []string{"MF-BACKBONE", "MF-DATA", "MF-DICOM", "MF-FED", "MF-FHIR", "MF-INGEST", "MF-METRICS", "MF-MODEL", "MF-PRETRAINED", "MF-RECORD-SOURCE", "MF-SALIENCY", "MF-SIMULATE-CHECKPOINT"}},
		{Write, "a file can't be written", []string{"MF-AUDIT-WRITE", "MF-ENVELOPE-WRITE", "MF-FEATURES-CACHE", "MF-INGEST-JOURNAL", "MF-INGEST-OUTPUT", "MF-NODE-JOURNAL", "MF-REPORT-WRITE", "MF-SIMULATE-WRITE", "MF-WRITE"}},
		{Network, "the network's processes can't be started, stopped or asked", []string{"MF-NETWORK", "MF-TOOLS"}},
		{Interrupted, "interrupted by the user", []string{"MF-INTERRUPTED"}},
	}
}

// Of gives the exit status for an error: that of the first code in its text, or
// Internal for a text without one.
func Of(err error) int {
	if err == nil {
		return OK
	}
	code := codes.Of(err)
	if code == "" && errors.Is(err, context.Canceled) {
		return Interrupted
	}
	return OfCode(code)
}

// OfCode gives the exit status of a code, Internal when no prefix covers it.
func OfCode(code codes.Code) int {
	status, longest := Internal, 0
	for _, s := range Table() {
		for _, prefix := range s.Prefixes {
			if len(prefix) > longest && covers(prefix, string(code)) {
				status, longest = s.Exit, len(prefix)
			}
		}
	}
	return status
}

// Covered reports whether a prefix of the table covers the code.
func Covered(code codes.Code) bool {
	for _, s := range Table() {
		for _, prefix := range s.Prefixes {
			if covers(prefix, string(code)) {
				return true
			}
		}
	}
	return false
}

func covers(prefix, code string) bool {
	return code == prefix || strings.HasPrefix(code, prefix+"-")
}

// Markdown gives the table as Markdown.
func Markdown() string {
	var b strings.Builder
	b.WriteString("| exit | meaning | codes |\n|---:|---|---|\n")
	for _, s := range Table() {
		fmt.Fprintf(&b, "| %d | %s | %s |\n", s.Exit, s.Meaning, strings.Join(quoted(s.Prefixes), " "))
	}
	return b.String()
}

func quoted(words []string) []string {
	out := make([]string, len(words))
	for i, word := range words {
		out[i] = "`" + word + "`"
	}
	return out
}
