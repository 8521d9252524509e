package collections

import (
	"fmt"
	"slices"
	"strings"
)

// What an organisation sees of a collection, in the words of the table; the
// page explains them.
const (
	seesValue = "value"
	seesGrant = "own grants"
	seesHash  = "hash"
)

// Table shows in Markdown what each organisation sees of each collection.
func (c Consortium) Table() string {
	var b strings.Builder
	header := []string{"collection"}
	for _, o := range c.Organisations {
		header = append(header, o.Name)
	}
	header = append(header, "a write is endorsed by", "kept")
	row(&b, header)
	row(&b, slices.Repeat([]string{"---"}, len(header)))
	for _, one := range c.Generate() {
		cells := []string{"`" + one.Name + "`"}
		for _, o := range c.Organisations {
			cells = append(cells, sees(one, o))
		}
		row(&b, append(cells, c.endorser(one), kept(one)))
	}
	return b.String()
}

func row(b *strings.Builder, cells []string) {
	fmt.Fprintf(b, "| %s |\n", strings.Join(cells, " | "))
}

func sees(c Collection, o Organisation) string {
	switch {
	case strings.Contains(c.Policy, "'"+o.MSP+".member'"):
		return seesValue
	case !c.MemberOnlyRead:
		return seesGrant
	default:
		return seesHash
	}
}

// endorser is whose peer must endorse a write.
func (c Consortium) endorser(one Collection) string {
	i := slices.IndexFunc(c.Organisations, func(o Organisation) bool {
		return one.EndorsementPolicy.SignaturePolicy == anyOf([]string{o.MSP}, "peer")
	})
	return c.Organisations[i].Name
}

func kept(c Collection) string {
	if c.BlockToLive == 0 {
		return "until purged"
	}
	return fmt.Sprintf("%d blocks", c.BlockToLive)
}
