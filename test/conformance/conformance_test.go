// SPDX-License-Identifier: Apache-2.0

package conformance

import (
	"bufio"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apimachinery/pkg/util/sets"
	"sigs.k8s.io/gateway-api/conformance"
	"sigs.k8s.io/gateway-api/conformance/tests"
	"sigs.k8s.io/gateway-api/conformance/utils/suite"
	"sigs.k8s.io/yaml"
)

// TestConformance runs the suite. The environment variable EPIC_CONFORMANCE_TESTS names a
// file with the names of tests, one a line, and only these run. Without it all run, and a
// report is written where the flag -report-output says.
func TestConformance(t *testing.T) {
	options := conformance.DefaultOptions(t)
	require.NoError(t, apiextensionsv1.AddToScheme(options.Client.Scheme()))
	file := os.Getenv("EPIC_CONFORMANCE_TESTS")
	if file == "" {
		conformance.RunConformanceWithOptions(t, options)
		return
	}
	wanted := names(t, file)
	some := slices.DeleteFunc(slices.Clone(tests.ConformanceTests), func(test suite.ConformanceTest) bool { return !wanted.Has(test.ShortName) })
	for _, test := range some {
		wanted.Delete(test.ShortName)
	}
	require.Empty(t, wanted.UnsortedList(), "the suite has no tests of these names")
	s, err := suite.NewConformanceTestSuite(options)
	require.NoError(t, err)
	// The suite counts as running until its parallel tests have ended.
	t.Cleanup(func() {
		report, err := s.Report()
		require.NoError(t, err)
		text, err := yaml.Marshal(report)
		require.NoError(t, err)
		t.Logf("%s", text)
	})
	s.Setup(t, some)
	require.NoError(t, s.Run(t, some))
}

func names(t *testing.T, file string) sets.Set[string] {
	t.Helper()
	f, err := os.Open(file)
	require.NoError(t, err)
	defer f.Close()
	all := sets.New[string]()
	scanner := bufio.NewScanner(f)
	for scanner.Scan() {
		if line, _, _ := strings.Cut(scanner.Text(), "#"); strings.TrimSpace(line) != "" {
			all.Insert(strings.TrimSpace(line))
		}
	}
	require.NoError(t, scanner.Err())
	return all
}
