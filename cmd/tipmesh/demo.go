package main

import "github.com/spf13/cobra"

func newDemoCommand(gopts *GlobalOptions) *cobra.Command {
	return &cobra.Command{Use: "demo", RunE: func(*cobra.Command, []string) error { return nil }}
}
