package gateway

import (
	"crypto"
	"crypto/x509"
	"encoding/asn1"
	"encoding/json"
	"os"
	"path/filepath"
	"time"

	"github.com/hyperledger/fabric-gateway/pkg/identity"

	"github.com/medfed/medfed/chaincode/codes"
	"github.com/medfed/medfed/chaincode/consortium"
)

// Identity is an enrolled identity: who signs.
type Identity struct {
	MSP  string          // MSP identifier
	Name string          // the certificate's common name
	Role consortium.Role // the certificate's medfed.role attribute, "" when it has none

	certificate *x509.Certificate
	key         crypto.PrivateKey
}

// ID is the name the ledger knows the identity by: "MSP/name".
func (i *Identity) ID() string { return i.MSP + "/" + i.Name }

// LoadIdentity reads an MSP folder (signcerts/*.pem and keystore/*) as Fabric CA
// and cryptogen write it. The error is MF-GATEWAY-IDENTITY.
func LoadIdentity(mspID, folder string) (*Identity, error) {
	certificatePEM, err := onlyFile(filepath.Join(folder, "signcerts"))
	if err != nil {
		return nil, err
	}
	certificate, err := identity.CertificateFromPEM(certificatePEM)
	if err != nil {
		return nil, codes.Wrapf("MF-GATEWAY-IDENTITY", "the certificate in %s cannot be read: %w; enrol again", folder, err)
	}
	if now := time.Now(); now.After(certificate.NotAfter) {
		return nil, codes.Errorf("MF-GATEWAY-IDENTITY", "the certificate in %s expired on %s; enrol again", folder, certificate.NotAfter.Format(time.DateTime))
	}
	keyPEM, err := onlyFile(filepath.Join(folder, "keystore"))
	if err != nil {
		return nil, err
	}
	key, err := identity.PrivateKeyFromPEM(keyPEM)
	if err != nil {
		// The library's words may quote the file, which is the key.
		return nil, codes.Errorf("MF-GATEWAY-IDENTITY", "the private key in %s cannot be read; enrol again", folder)
	}
	if !belong(certificate, key) {
		return nil, codes.Errorf("MF-GATEWAY-IDENTITY", "certificate and private key in %s do not belong together; enrol again", folder)
	}
	return &Identity{
		MSP:         mspID,
		Name:        certificate.Subject.CommonName,
		Role:        consortium.Role(attribute(certificate, consortium.RoleAttribute)),
		certificate: certificate,
		key:         key,
	}, nil
}

// onlyFile reads the one file of a folder.
func onlyFile(folder string) ([]byte, error) {
	entries, err := os.ReadDir(folder)
	if err != nil {
		return nil, codes.Wrapf("MF-GATEWAY-IDENTITY", "there is no MSP folder: %w; enrol the identity, or name its folder", err)
	}
	var files []string
	for _, entry := range entries {
		if entry.Type().IsRegular() {
			files = append(files, entry.Name())
		}
	}
	if len(files) != 1 {
		return nil, codes.Errorf("MF-GATEWAY-IDENTITY", "%s holds %d files and not one; enrol the identity again", folder, len(files))
	}
	content, err := os.ReadFile(filepath.Join(folder, files[0]))
	if err != nil {
		return nil, codes.Wrapf("MF-GATEWAY-IDENTITY", "a file of the identity cannot be read: %w; check its owner and mode", err)
	}
	return content, nil
}

func belong(certificate *x509.Certificate, key crypto.PrivateKey) bool {
	signer, ok := key.(crypto.Signer)
	if !ok {
		return false
	}
	public, ok := signer.Public().(interface{ Equal(crypto.PublicKey) bool })
	return ok && public.Equal(certificate.PublicKey)
}

// attributeExtension is where Fabric CA puts attributes into a certificate.
var attributeExtension = asn1.ObjectIdentifier{1, 2, 3, 4, 5, 6, 7, 8, 1}

// attribute is the certificate's attribute of that name, "" when it has none.
func attribute(certificate *x509.Certificate, name string) string {
	for _, extension := range certificate.Extensions {
		if !extension.Id.Equal(attributeExtension) {
			continue
		}
		var content struct {
			Attributes map[string]string `json:"attrs"`
		}
		if json.Unmarshal(extension.Value, &content) == nil {
			return content.Attributes[name]
		}
	}
	return ""
}
