// Command chaincode serves medfed's contracts to a Fabric peer, in one of two
// ways. As a service (ccaas), which the peer dials:
//
//	CHAINCODE_SERVER_ADDRESS  host and port to listen on
//	CHAINCODE_ID              package ID, as the peer's lifecycle calculates it
//	CHAINCODE_TLS_KEY         file with the service's TLS key (PEM)
//	CHAINCODE_TLS_CERT        file with its certificate (PEM)
//	CHAINCODE_CLIENT_CA_CERT  file with the certificates of the CAs that sign the peers' client certificates (PEM)
//	CHAINCODE_TLS_DISABLED    "true" to serve without TLS, and then none of the three files
//
// Or launched by the peer, which sets CORE_CHAINCODE_ID_NAME and the flag
// -peer.address itself. It refuses to start half-configured.
package main

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"os"

	"github.com/hyperledger/fabric-chaincode-go/v2/shim"

	"github.com/medfed/medfed/chaincode/codes"
	"github.com/medfed/medfed/chaincode/contract"
)

func main() {
	if err := run(os.Getenv); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// run serves until the peer or the listener ends.
func run(getenv func(string) string) error {
	chaincode, err := contract.New()
	if err != nil {
		return err
	}
	server, err := configure(getenv)
	if err != nil {
		return err
	}
	if server == nil {
		return shim.Start(chaincode)
	}
	server.CC = chaincode
	return server.Start()
}

// configure reads the service's settings. It gives no server when the peer has
// launched the chaincode.
func configure(getenv func(string) string) (*shim.ChaincodeServer, error) {
	address, id := getenv("CHAINCODE_SERVER_ADDRESS"), getenv("CHAINCODE_ID")
	launched := getenv("CORE_CHAINCODE_ID_NAME") != ""
	switch {
	case address == "" && id == "" && launched:
		return nil, nil
	case address == "":
		return nil, refuse("CHAINCODE_SERVER_ADDRESS is not set; set it to the host and port to listen on")
	case id == "":
		return nil, refuse("CHAINCODE_ID is not set; set it to the package ID that peer lifecycle chaincode calculatepackageid prints")
	}
	secured, err := security(getenv)
	if err != nil {
		return nil, err
	}
	return &shim.ChaincodeServer{CCID: id, Address: address, TLSProps: secured}, nil
}

// security reads the TLS settings: all three files, or TLS off in so many words.
func security(getenv func(string) string) (shim.TLSProperties, error) {
	variables := []string{"CHAINCODE_TLS_KEY", "CHAINCODE_TLS_CERT", "CHAINCODE_CLIENT_CA_CERT"}
	if off := getenv("CHAINCODE_TLS_DISABLED"); off != "" && off != "true" && off != "false" {
		return shim.TLSProperties{}, refuse("CHAINCODE_TLS_DISABLED is neither true nor false; set one of them or leave it out")
	}
	if getenv("CHAINCODE_TLS_DISABLED") == "true" {
		for _, variable := range variables {
			if getenv(variable) != "" {
				return shim.TLSProperties{}, refuse("%s is set while CHAINCODE_TLS_DISABLED is true; unset one of them", variable)
			}
		}
		return shim.TLSProperties{Disabled: true}, nil
	}
	var files [3][]byte
	for i, variable := range variables {
		path := getenv(variable)
		if path == "" {
			return shim.TLSProperties{}, refuse("%s is not set; set it to a PEM file, or CHAINCODE_TLS_DISABLED to true", variable)
		}
		bytes, err := os.ReadFile(path)
		if err != nil {
			return shim.TLSProperties{}, refuse("the file that %s names can't be read (%v); set it to a PEM file", variable, err)
		}
		files[i] = bytes
	}
	if _, err := tls.X509KeyPair(files[1], files[0]); err != nil {
		return shim.TLSProperties{}, refuse("CHAINCODE_TLS_KEY and CHAINCODE_TLS_CERT are no pair (%v); name a key and its certificate", err)
	}
	if !x509.NewCertPool().AppendCertsFromPEM(files[2]) {
		return shim.TLSProperties{}, refuse("CHAINCODE_CLIENT_CA_CERT names a file without certificates; name the CAs of the peers' client certificates")
	}
	return shim.TLSProperties{Key: files[0], Cert: files[1], ClientCACerts: files[2]}, nil
}

func refuse(format string, args ...any) error {
	return codes.Errorf("MF-CHAINCODE-CONFIG", format, args...)
}
