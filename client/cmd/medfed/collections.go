package main

import (
	"strings"

	"github.com/spf13/cobra"

	"github.com/medfed/medfed/chaincode/codes"
	"github.com/medfed/medfed/collections"
)

func newCollections(a *app) *cobra.Command {
	var file, hospitals string
	c := &cobra.Command{
		Use:   "collections",
		Short: "Write the collections file that the chaincode is deployed with",
		Long: `Write the private data collections of a consortium, as the peer takes them:

  medfed collections --organisations HospitalAMSP,HospitalBMSP > file.json
  peer lifecycle chaincode approveformyorg --collections-config file.json …

Each hospital has two, its records and its grants, which its own peer alone
holds. Other organisations have none. How long values are kept is a choice of
consortium.yaml; for --organisations it is until they are purged.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			consortium, err := whoSeesWhat(cmd, file, hospitals)
			if err != nil {
				return err
			}
			config, err := collections.JSON(consortium.Generate())
			if err != nil {
				return err
			}
			_, err = a.stdout.Write(config)
			return written(err)
		},
	}
	c.Flags().StringVar(&file, "consortium", "test-network/consortium.yaml", "description of the consortium")
	c.Flags().StringVar(&hospitals, "organisations", "", "MSP identifiers of the hospitals, by commas, instead")
	return c
}

// whoSeesWhat reads the organisations from the flag that was given.
func whoSeesWhat(cmd *cobra.Command, file, hospitals string) (collections.Consortium, error) {
	if cmd.Flags().Changed("organisations") {
		if cmd.Flags().Changed("consortium") {
			return collections.Consortium{}, usage("--organisations and --consortium are both given; give one")
		}
		consortium := collections.OfHospitals(strings.Split(hospitals, ",")...)
		if err := consortium.Check(); err != nil {
			return consortium, usage("--organisations: %v; give MSP identifiers, such as HospitalAMSP,HospitalBMSP", err)
		}
		return consortium, nil
	}
	consortium, err := collections.Load(file)
	if err == nil {
		err = consortium.Check()
	}
	if err != nil {
		return consortium, codes.Wrapf("MF-NETWORK-CONSORTIUM", "%w; name a readable consortium.yaml, or give --organisations", err)
	}
	return consortium, nil
}
