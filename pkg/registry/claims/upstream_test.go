// SPDX-License-Identifier: Apache-2.0

package claims

import (
	"context"
	"errors"
	"path"
	"testing"

	"k8s.io/apiserver/pkg/features"
	"k8s.io/apiserver/pkg/storage"
	storagetesting "k8s.io/apiserver/pkg/storage/testing"
	utilfeature "k8s.io/apiserver/pkg/util/feature"
	"k8s.io/component-base/featuregate"
	featuregatetesting "k8s.io/component-base/featuregate/testing"
)

// Of the suites in k8s.io/apiserver/pkg/storage/testing these do not run here:
//
//   - RunTestCreateWithTTL, RunTestGuaranteedUpdateWithTTL: objects that expire
//     are refused, since etcd would remove them without their claims. That they
//     are refused is tested in TestNothingExpires.
//   - RunTestDeleteWithConflictAndMissingExpectedTransformOrDecodeError,
//     RunTestDeleteExpectedTransformOrDecodeError,
//     RunTestDeleteWithSuggestionAndMissingExpectedTransformOrDecodeError,
//     RunTestGetListWithErrorAggregation, RunTestWatchWithUnsafeDelete: the
//     deletion of unreadable objects is refused, because nobody knows what they
//     claim (TestUnreadableObjects), and with it the alpha feature
//     AllowUnsafeMalformedObjectDeletion, to which these belong.
//   - RunTestWatchFromZero through the cache: it wants the history inside the
//     watch cache compacted, which only the package of the cache can do.
//   - RunTestList through the cache with the feature ListFromCacheSnapshot off: it
//     knows the numbers of etcd's revisions, of which the schema and the
//     reservation of IDs take some. With the feature on it runs.
//   - RunTestListResourceVersionMatch, RunTestListInconsistentContinuation,
//     RunTestGuaranteedUpdateChecksStoredData, RunTestTransformationFailure,
//     RunTestWatchError, RunTestWatchContextCancel,
//     RunTestGetListWithoutErrorAggregation and
//     RunWatchErrorIsBlockingFurtherEvents through the cache: they look at what
//     etcd returns, which the cache hides; upstream runs them without it only.
//   - RunOptionalTestProgressNotify through the cache: the cache answers such
//     watches itself (RunTestWatchDispatchBookmarkEvents).
//   - RunTestOptionalWatchBookmarksWithCorrectResourceVersion without the cache:
//     the etcd store has no such bookmarks.
//   - RunBenchmark…: these are no tests.

// suiteCase is one of the suites.
type suiteCase struct {
	name string
	run  func(context.Context, *testing.T, *suite)
	// on is where it runs.
	on where
	// alone is for suites that compact etcd, or want another configuration.
	alone bool
	// slow is for suites that mostly wait: they run next to each other, each with an
	// etcd of its own.
	slow bool
	// notify makes etcd report its progress often.
	notify bool
	// cluster is for objects without a namespace, indexed for watches by node.
	cluster, indexed bool
	features         map[featuregate.Feature]bool
	rules            Rules
	// prefix in etcd, where the suite knows it.
	prefix *string
	// misnamed is for suites that store objects under keys that are not their
	// names'. The cache knows these by their names, and differs from etcd.
	misnamed bool
	// unaudited explains why claims and objects differ afterwards.
	unaudited string
}

type where int

const (
	both where = iota
	rawOnly
	cachedOnly
)

func snapshots(on bool) map[featuregate.Feature]bool {
	return map[featuregate.Feature]bool{features.ListFromCacheSnapshot: on}
}

// Why some suites leave claims and objects that differ.
const (
	newUID     = "it changes the UID of an object, which no API server lets happen"
	newName    = "it changes the name inside an object, which no API server lets happen"
	unreadable = "it leaves objects in etcd that can't be read"
)

func suiteCases() []suiteCase {
	type (
		c = context.Context
		t = *testing.T
		s = *suite
	)
	plain := func(run func(c, t, storage.Interface)) func(c, t, s) {
		return func(ctx c, t t, s s) { run(ctx, t, s) }
	}
	wait := func(run func(c, t, storage.Interface)) func(c, t, s) {
		return func(ctx c, t t, s s) { run(ctx, t, &eager{s}) }
	}
	registry, root := "/registry", ""
	prefixed := func(run func(c, t, storagetesting.InterfaceWithPrefixTransformer)) func(c, t, s) {
		return func(ctx c, t t, s s) { run(ctx, t, s) }
	}
	stats := func(size bool) func(c, t, s) {
		return func(ctx c, t t, s s) {
			if size && !s.cached {
				if err := s.EnableResourceSizeEstimation(s.keys); err != nil {
					t.Fatal(err)
				}
			}
			storagetesting.RunTestStats(ctx, t, s, markCodec{codec}, s.transformer, size)
		}
	}
	list := func(ctx c, t t, s s) { storagetesting.RunTestList(ctx, t, s, s.compact, s.cached, s.lists) }
	consistent := func(snapshot bool) func(c, t, s) {
		return func(ctx c, t t, s s) {
			storagetesting.RunTestConsistentList(ctx, t, s, s.increaseRV, s.cached, true, snapshot && s.cached)
		}
	}
	return []suiteCase{
		{name: "Create", run: func(ctx c, t t, s s) { storagetesting.RunTestCreate(ctx, t, s, s.checkStored) }},
		{name: "CreateWithKeyExist", run: plain(storagetesting.RunTestCreateWithKeyExist)},
		{name: "Get", slow: true, run: func(ctx c, t t, s s) { storagetesting.RunTestGet(ctx, t, &lasting{s}) }},
		{name: "UnconditionalDelete", run: plain(storagetesting.RunTestUnconditionalDelete)},
		{name: "ConditionalDelete", run: plain(storagetesting.RunTestConditionalDelete)},
		{name: "DeleteWithSuggestion", run: plain(storagetesting.RunTestDeleteWithSuggestion)},
		{name: "DeleteWithSuggestionAndConflict", run: plain(storagetesting.RunTestDeleteWithSuggestionAndConflict)},
		{name: "DeleteWithConflict", run: plain(storagetesting.RunTestDeleteWithConflict)},
		{name: "DeleteWithSuggestionOfDeletedObject", run: plain(storagetesting.RunTestDeleteWithSuggestionOfDeletedObject)},
		{name: "ValidateDeletionWithSuggestion", run: plain(storagetesting.RunTestValidateDeletionWithSuggestion)},
		{name: "ValidateDeletionWithOnlySuggestionValid", run: plain(storagetesting.RunTestValidateDeletionWithOnlySuggestionValid)},
		{name: "PreconditionalDeleteWithSuggestion", run: plain(storagetesting.RunTestPreconditionalDeleteWithSuggestion), unaudited: newUID},
		{name: "PreconditionalDeleteWithOnlySuggestionPass", run: plain(storagetesting.RunTestPreconditionalDeleteWithOnlySuggestionPass), unaudited: newUID},
		{name: "List", run: list, alone: true, prefix: &registry, features: snapshots(true)},
		{name: "List/no snapshots", on: rawOnly, run: list, alone: true, prefix: &registry, features: snapshots(false)},
		{name: "ConsistentList", run: consistent(true), features: snapshots(true)},
		{name: "ConsistentList/no snapshots", run: consistent(false), features: snapshots(false)},
		{name: "GetListNonRecursive", slow: true, run: func(ctx c, t t, s s) { storagetesting.RunTestGetListNonRecursive(ctx, t, s.increaseRV, s) }},
		{name: "GetListRecursivePrefix", run: plain(storagetesting.RunTestGetListRecursivePrefix)},
		{name: "GetListWithoutErrorAggregation", on: rawOnly, alone: true, prefix: &root, run: func(ctx c, t t, s s) {
			storagetesting.RunTestGetListWithoutErrorAggregation(ctx, t, s, errors.New("bits flipped"))
		}},
		{name: "ListContinuation", run: func(ctx c, t t, s s) { storagetesting.RunTestListContinuation(ctx, t, s, s.checkCalls) }},
		{name: "ListPaginationRareObject", run: func(ctx c, t t, s s) { storagetesting.RunTestListPaginationRareObject(ctx, t, s, s.checkCalls) }, features: snapshots(false)},
		{name: "ListContinuationWithFilter", run: func(ctx c, t t, s s) { storagetesting.RunTestListContinuationWithFilter(ctx, t, s, s.checkCalls) }},
		{name: "ListInconsistentContinuation", on: rawOnly, alone: true, unaudited: newName, run: func(ctx c, t t, s s) {
			storagetesting.RunTestListInconsistentContinuation(ctx, t, s, s.compact)
		}},
		{name: "ListResourceVersionMatch", on: rawOnly, run: prefixed(storagetesting.RunTestListResourceVersionMatch)},
		{name: "ListPaging", run: plain(storagetesting.RunTestListPaging)},
		{name: "NamespaceScopedList", run: plain(storagetesting.RunTestNamespaceScopedList), indexed: true, rules: nameRules{}},
		{name: "GuaranteedUpdate", misnamed: true, run: func(ctx c, t t, s s) { storagetesting.RunTestGuaranteedUpdate(ctx, t, s, s.checkStored) }},
		{name: "GuaranteedUpdateChecksStoredData", on: rawOnly, run: func(ctx c, t t, s s) {
			storagetesting.RunTestGuaranteedUpdateChecksStoredData(ctx, t, &known{s})
		}},
		{name: "GuaranteedUpdateWithConflict", misnamed: true, run: plain(storagetesting.RunTestGuaranteedUpdateWithConflict), unaudited: newName},
		{name: "GuaranteedUpdateWithSuggestionAndConflict", run: plain(storagetesting.RunTestGuaranteedUpdateWithSuggestionAndConflict)},
		{name: "TransformationFailure", on: rawOnly, run: prefixed(storagetesting.RunTestTransformationFailure), unaudited: unreadable},
		{name: "Stats", run: stats(false), features: map[featuregate.Feature]bool{features.SizeBasedListCostEstimate: false}},
		{name: "Stats/size", run: stats(true), features: map[featuregate.Feature]bool{features.SizeBasedListCostEstimate: true}},
		{name: "CompactRevision", alone: true, features: snapshots(true), run: func(ctx c, t t, s s) {
			storagetesting.RunTestCompactRevision(ctx, t, s, s.increaseRV, s.compact)
		}},
		{name: "KeySchema", misnamed: true, run: plain(storagetesting.RunTestKeySchema)},
		{name: "Watch", run: plain(storagetesting.RunTestWatch)},
		{name: "ClusterScopedWatch", run: plain(storagetesting.RunTestClusterScopedWatch), cluster: true, indexed: true},
		{name: "NamespaceScopedWatch", run: plain(storagetesting.RunTestNamespaceScopedWatch), indexed: true},
		{name: "DeleteTriggerWatch", run: plain(storagetesting.RunTestDeleteTriggerWatch)},
		{name: "WatchFromZero", on: rawOnly, slow: true, run: func(ctx c, t t, s s) { storagetesting.RunTestWatchFromZero(ctx, t, s, s.compact) }},
		{name: "WatchFromNonZero", run: plain(storagetesting.RunTestWatchFromNonZero)},
		{name: "DelayedWatchDelivery", slow: true, run: plain(storagetesting.RunTestDelayedWatchDelivery)},
		{name: "WatchError", on: rawOnly, run: prefixed(storagetesting.RunTestWatchError)},
		{name: "WatchContextCancel", on: rawOnly, run: plain(storagetesting.RunTestWatchContextCancel)},
		{name: "WatcherTimeout", run: plain(storagetesting.RunTestWatcherTimeout)},
		{name: "WatchDeleteEventObjectHaveLatestRV", run: plain(storagetesting.RunTestWatchDeleteEventObjectHaveLatestRV)},
		{name: "WatchInitializationSignal", run: plain(storagetesting.RunTestWatchInitializationSignal)},
		{name: "ProgressNotify", on: rawOnly, notify: true, slow: true, run: func(ctx c, t t, s s) {
			storagetesting.RunOptionalTestProgressNotify(ctx, t, s, s.increaseRV)
		}},
		{name: "WatchDispatchBookmarkEvents", notify: true, slow: true, run: func(ctx c, t t, s s) {
			storagetesting.RunTestWatchDispatchBookmarkEvents(ctx, t, s, s.cached)
		}},
		{name: "WatchBookmarksWithCorrectResourceVersion", slow: true, on: cachedOnly, run: plain(storagetesting.RunTestOptionalWatchBookmarksWithCorrectResourceVersion)},
		{name: "SendInitialEventsBackwardCompatibility", run: plain(storagetesting.RunSendInitialEventsBackwardCompatibility)},
		{name: "WatchSemantics", alone: true, run: wait(storagetesting.RunWatchSemantics)},
		{name: "WatchSemantics/concurrent decode", on: rawOnly, alone: true, run: wait(storagetesting.RunWatchSemantics), features: map[featuregate.Feature]bool{features.ConcurrentWatchObjectDecode: true}},
		{name: "WatchSemanticInitialEventsExtended", run: wait(storagetesting.RunWatchSemanticInitialEventsExtended)},
		{name: "WatchListMatchSingle", run: wait(storagetesting.RunWatchListMatchSingle)},
		{name: "WatchErrorIsBlockingFurtherEvents", on: rawOnly, run: prefixed(storagetesting.RunWatchErrorIsBlockingFurtherEvents), unaudited: unreadable},
	}
}

// TestUpstreamSuites runs the suites by which k8s.io/apiserver tests its storage,
// against this one: as it is, and under a watch cache. Every write in them
// claims something, and afterwards claims and objects have to be equal.
func TestUpstreamSuites(t *testing.T) {
	for _, cached := range []bool{false, true} {
		for _, c := range suiteCases() {
			if c.on == rawOnly && cached || c.on == cachedOnly && !cached {
				continue
			}
			t.Run(path.Join(map[bool]string{false: "raw", true: "cached"}[cached], c.name), func(t *testing.T) {
				if c.slow {
					t.Parallel()
				}
				for f, on := range c.features {
					featuregatetesting.SetFeatureGateDuringTest(t, utilfeature.DefaultFeatureGate, f, on)
				}
				s := newSuite(t, c, cached)
				// The suites end their subtests after this function has returned.
				t.Run("suite", func(t *testing.T) { c.run(context.WithoutCancel(t.Context()), t, s) })
				if c.unaudited == "" {
					clean(t, s.backend)
				}
			})
		}
	}
}
