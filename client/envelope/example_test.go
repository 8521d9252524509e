package envelope_test

import (
	"bytes"
	"fmt"
	"io"
	"log"
	"strings"

	"github.com/medfed/medfed/chaincode/codes"
	"github.com/medfed/medfed/client/envelope"
)

// A file encrypted to a hospital and a patient opens for both and for nobody else.
func Example() {
	hospital, patient, stranger := newKey(), newKey(), newKey()
	sealed, err := envelope.SealReader(strings.NewReader("an X-ray"), hospital.Recipient(), patient.Recipient())
	if err != nil {
		log.Fatal(err)
	}
	defer sealed.Close()
	ciphertext, err := io.ReadAll(sealed)
	if err != nil {
		log.Fatal(err)
	}
	for _, key := range []*envelope.Identity{hospital, patient} {
		plain, err := envelope.Open(bytes.NewReader(ciphertext), key)
		if err != nil {
			log.Fatal(err)
		}
		content, err := io.ReadAll(plain)
		if err != nil { // what was read so far is not to be used
			log.Fatal(err)
		}
		fmt.Printf("%s\n", content)
	}
	_, err = envelope.Open(bytes.NewReader(ciphertext), stranger)
	fmt.Println(codes.Of(err))
	// Output:
	// an X-ray
	// an X-ray
	// MF-ENVELOPE-NOT-RECIPIENT
}

// A version's key is wrapped for a grantee, who so opens what was sealed before.
func ExampleWrap() {
	version, grantee := newKey(), newKey()
	wrap, err := envelope.Wrap(version, grantee.Recipient())
	if err != nil {
		log.Fatal(err)
	}
	opened, err := envelope.Unwrap(wrap, grantee)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(opened.Recipient() == version.Recipient())
	// Output: true
}

func newKey() *envelope.Identity {
	key, err := envelope.NewIdentity()
	if err != nil {
		log.Fatal(err)
	}
	return key
}
