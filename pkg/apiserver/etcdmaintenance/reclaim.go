// SPDX-License-Identifier: Apache-2.0

package etcdmaintenance

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
)

const (
	// healthTimeout is how long a member may take to become healthy after its turn.
	healthTimeout = time.Minute
	// answerTimeout is how long a member may take for one response. By default, a client
	// waits indefinitely for a member that is down.
	answerTimeout = 5 * time.Second
)

// Options configures the maintenance.
type Options struct {
	// MinFree is the minimum fraction of its database file that must be free for a member
	// to be defragmented, from 0 to 1. If it is 0, all history is compacted and each
	// member is defragmented. Otherwise, history is kept, unless etcd is full.
	MinFree float64
}

// Member is the result of the maintenance of one member.
type Member struct {
	// Endpoint is the endpoint at which the member was reached.
	Endpoint string
	// Before and After are the sizes of its database in bytes. Quota is its quota, or 0
	// if the member does not report it.
	Before, After, Quota int64
	// Skipped indicates that too little of its database was free to defragment it.
	Skipped bool
}

// Report is the result of a maintenance.
type Report struct {
	// Revision is the revision up to which history was compacted, 0 if none was.
	Revision int64
	// Members are listed in the order in which they were defragmented.
	Members []Member
	// Disarmed indicates that etcd rejected writes before the maintenance and accepts
	// them again.
	Disarmed bool
}

// Run makes each member compact all history and defragments it, the leader last, and
// disarms the alarm of a full database if there is room again. A member does not respond
// while it is defragmented, so Run handles one at a time: a turn begins when all members
// are healthy, and otherwise Run fails. progress is called after each.
func Run(ctx context.Context, client *clientv3.Client, options Options, progress func(Member)) (*Report, error) {
	left, err := findMembers(ctx, client)
	if err != nil {
		return nil, err
	}
	all := slices.Clone(left)
	report := &Report{}
	alarms, err := client.AlarmList(ctx)
	if err != nil {
		return nil, fmt.Errorf("list the alarms: %w", err)
	}
	everything := options.MinFree <= 0 || slices.ContainsFunc(alarms.Alarms, isFull)
	if everything {
		if report.Revision, err = currentRevision(ctx, client); err != nil {
			return nil, err
		}
	}
	for len(left) > 0 {
		if err := awaitHealth(ctx, client, all); err != nil {
			if len(report.Members) == 0 {
				return report, fmt.Errorf("%w; nothing was changed", err)
			}
			return report, fmt.Errorf("%w; %d of %d members were defragmented", err, len(report.Members), len(all))
		}
		endpoint, before, err := next(ctx, client, left)
		if err != nil {
			return report, err
		}
		left = slices.DeleteFunc(left, func(e string) bool { return e == endpoint })
		done := Member{Endpoint: endpoint, Before: before.DbSize, After: before.DbSize, Quota: before.DbSizeQuota}
		if done.Skipped = !everything && float64(before.DbSize-before.DbSizeInUse) < options.MinFree*float64(before.DbSize); !done.Skipped {
			if done.After, err = reclaim(ctx, client, endpoint, report.Revision); err != nil {
				return report, err
			}
		}
		report.Members = append(report.Members, done)
		progress(done)
	}
	if err := awaitHealth(ctx, client, all); err != nil {
		return report, err
	}
	report.Disarmed, err = disarm(ctx, client, report.Members)
	return report, err
}

// reclaim makes one member compact the history before a revision, if one is given, and
// defragments it. It returns the resulting size of its database.
func reclaim(ctx context.Context, client *clientv3.Client, endpoint string, revision int64) (int64, error) {
	if revision > 0 {
		if err := compact(ctx, client, endpoint, revision); err != nil {
			return 0, err
		}
	}
	if _, err := client.Defragment(ctx, endpoint); err != nil {
		return 0, fmt.Errorf("defragment %s: %w", endpoint, err)
	}
	after, err := client.Status(ctx, endpoint)
	if err != nil {
		return 0, fmt.Errorf("%s does not answer after its defragmentation: %w", endpoint, err)
	}
	return after.DbSize, nil
}

// next returns the member whose turn it is, with its status: one that is not the current
// leader, as long as there is one.
func next(ctx context.Context, client *clientv3.Client, left []string) (endpoint string, status *clientv3.StatusResponse, err error) {
	for _, e := range left {
		s, err := statusOf(ctx, client, e)
		if err != nil {
			return "", nil, fmt.Errorf("%s does not answer: %w", e, err)
		}
		if endpoint == "" || s.Leader != s.Header.MemberId {
			endpoint, status = e, s
		}
		if s.Leader != s.Header.MemberId {
			break
		}
	}
	return endpoint, status, nil
}

// awaitHealth returns once every member responds with the most recent writes, or an error
// if one does not do so in time.
func awaitHealth(ctx context.Context, client *clientv3.Client, endpoints []string) error {
	ctx, cancel := context.WithTimeout(ctx, healthTimeout)
	defer cancel()
	for _, endpoint := range endpoints {
		for {
			err := healthy(ctx, client, endpoint)
			if err == nil {
				break
			}
			select {
			case <-ctx.Done():
				return fmt.Errorf("%s is not healthy: %w", endpoint, err)
			case <-time.After(time.Second):
			}
		}
	}
	return nil
}

// healthy sends a member a linearizable read, to which it responds once it has every
// earlier write.
func healthy(ctx context.Context, client *clientv3.Client, endpoint string) error {
	ctx, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	conn, err := client.Dial(endpoint)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	_, err = etcdserverpb.NewKVClient(conn).Range(ctx, &etcdserverpb.RangeRequest{Key: []byte("epic-maintenance"), CountOnly: true})
	return clientv3.ContextError(ctx, err)
}

func statusOf(ctx context.Context, client *clientv3.Client, endpoint string) (*clientv3.StatusResponse, error) {
	ctx, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	return client.Status(ctx, endpoint)
}

// findMembers returns an endpoint of each member, and an error if the client has no
// endpoint for a member of the cluster.
func findMembers(ctx context.Context, client *clientv3.Client) ([]string, error) {
	list, err := client.MemberList(ctx)
	if err != nil {
		return nil, fmt.Errorf("list the members of the cluster: %w", err)
	}
	missing := map[uint64]string{}
	for _, m := range list.Members {
		missing[m.ID] = m.Name + " (" + strings.Join(m.ClientURLs, ",") + ")"
	}
	var out []string
	for _, endpoint := range client.Endpoints() {
		status, err := statusOf(ctx, client, endpoint)
		if err != nil {
			return nil, fmt.Errorf("%s does not answer: %w; nothing was changed", endpoint, err)
		}
		id := status.Header.MemberId
		if _, ok := missing[id]; !ok {
			// Two endpoints of one member.
			continue
		}
		delete(missing, id)
		out = append(out, endpoint)
	}
	if len(missing) > 0 {
		return nil, fmt.Errorf("no endpoint leads to etcd member %s; specify one for each member, nothing was changed", strings.Join(slices.Sorted(maps.Values(missing)), ", "))
	}
	return out, nil
}

// currentRevision returns the revision up to which history can be compacted.
func currentRevision(ctx context.Context, client *clientv3.Client) (int64, error) {
	now, err := client.Get(ctx, "epic-maintenance", clientv3.WithCountOnly())
	if err != nil {
		return 0, fmt.Errorf("read the current revision: %w", err)
	}
	return now.Header.Revision, nil
}

// compact makes the member at endpoint compact all revisions before revision, and returns
// when its database has done so. It must be called for each member: the others learn of a
// compaction, but only the one that serves the request waits for its own database, and
// revisions not removed by then survive a defragmentation.
func compact(ctx context.Context, client *clientv3.Client, endpoint string, revision int64) error {
	conn, err := client.Dial(endpoint)
	if err != nil {
		return fmt.Errorf("connect to %s: %w", endpoint, err)
	}
	defer func() { _ = conn.Close() }()
	_, err = etcdserverpb.NewKVClient(conn).Compact(ctx, &etcdserverpb.CompactionRequest{Revision: revision, Physical: true})
	// A member that has already compacted returns an error, but still waits for its
	// database.
	if err = clientv3.ContextError(ctx, err); err != nil && !errors.Is(err, rpctypes.ErrCompacted) {
		return fmt.Errorf("compact revisions before %d at %s: %w", revision, endpoint, err)
	}
	return nil
}

// disarm disarms the alarm if each member has room, and reports whether there was an
// alarm.
func disarm(ctx context.Context, client *clientv3.Client, members []Member) (bool, error) {
	alarms, err := client.AlarmList(ctx)
	if err != nil {
		return false, fmt.Errorf("list the alarms: %w", err)
	}
	disarmed := false
	for _, alarm := range alarms.Alarms {
		if !isFull(alarm) {
			continue
		}
		for _, m := range members {
			if m.Quota > 0 && m.After >= m.Quota {
				return false, fmt.Errorf("%s holds %d bytes of data, and its quota is %d: delete objects, or start etcd with a larger --quota-backend-bytes, and run this again", m.Endpoint, m.After, m.Quota)
			}
		}
		if _, err := client.AlarmDisarm(ctx, (*clientv3.AlarmMember)(alarm)); err != nil {
			return false, fmt.Errorf("disarm the alarm: %w", err)
		}
		disarmed = true
	}
	return disarmed, nil
}

func isFull(alarm *etcdserverpb.AlarmMember) bool {
	return alarm.Alarm == etcdserverpb.AlarmType_NOSPACE
}
