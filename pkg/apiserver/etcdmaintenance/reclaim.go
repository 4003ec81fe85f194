// SPDX-License-Identifier: Apache-2.0

package etcdmaintenance

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
)

// Member is what the maintenance did to one member.
type Member struct {
	// Endpoint is where the member was reached.
	Endpoint string
	// Before and After are the size of its database in bytes, Quota what it may
	// have, or 0 where the member does not report it.
	Before, After, Quota int64
}

// Report is the result of a maintenance.
type Report struct {
	// Revision is the one up to which history was forgotten.
	Revision int64
	// Members are in the order in which they were defragmented.
	Members []Member
	// Disarmed indicates that etcd refused writes before and takes them again.
	Disarmed bool
}

// member is one to defragment.
type member struct {
	endpoint string
	status   *clientv3.StatusResponse
}

// Run makes each member forget all history and defragments it, the leader last, and
// disarms the alarm of a full database if there is room again. A member answers
// nothing while it is defragmented, which is why they take turns. progress is called
// after each.
func Run(ctx context.Context, client *clientv3.Client, progress func(Member)) (*Report, error) {
	members, err := findMembers(ctx, client)
	if err != nil {
		return nil, err
	}
	report := &Report{}
	if report.Revision, err = currentRevision(ctx, client); err != nil {
		return nil, err
	}
	for _, m := range members {
		if err := compact(ctx, client, m.endpoint, report.Revision); err != nil {
			return report, err
		}
		if _, err := client.Defragment(ctx, m.endpoint); err != nil {
			return report, fmt.Errorf("defragment %s: %w", m.endpoint, err)
		}
		after, err := client.Status(ctx, m.endpoint)
		if err != nil {
			return report, fmt.Errorf("%s does not answer after its defragmentation: %w", m.endpoint, err)
		}
		done := Member{Endpoint: m.endpoint, Before: m.status.DbSize, After: after.DbSize, Quota: after.DbSizeQuota}
		report.Members = append(report.Members, done)
		progress(done)
	}
	report.Disarmed, err = disarm(ctx, client, report.Members)
	return report, err
}

// findMembers returns the members at the client's endpoints, and an error if the
// cluster has others.
func findMembers(ctx context.Context, client *clientv3.Client) ([]member, error) {
	list, err := client.MemberList(ctx)
	if err != nil {
		return nil, fmt.Errorf("list the members of the cluster: %w", err)
	}
	missing := map[uint64]string{}
	for _, m := range list.Members {
		missing[m.ID] = m.Name + " (" + strings.Join(m.ClientURLs, ",") + ")"
	}
	var out []member
	var leader *member
	for _, endpoint := range client.Endpoints() {
		status, err := client.Status(ctx, endpoint)
		if err != nil {
			return nil, fmt.Errorf("%s does not answer: %w; nothing was changed", endpoint, err)
		}
		id := status.Header.MemberId
		if _, ok := missing[id]; !ok {
			// Two endpoints of one member.
			continue
		}
		delete(missing, id)
		m := member{endpoint: endpoint, status: status}
		if status.Leader == id {
			leader = &m
			continue
		}
		out = append(out, m)
	}
	if leader != nil {
		out = append(out, *leader)
	}
	if len(missing) > 0 {
		var names []string
		for _, name := range missing {
			names = append(names, name)
		}
		return nil, fmt.Errorf("no endpoint leads to etcd member %s; name one for each member, nothing was changed", strings.Join(names, ", "))
	}
	return out, nil
}

// currentRevision returns the revision up to which history can be forgotten.
func currentRevision(ctx context.Context, client *clientv3.Client) (int64, error) {
	now, err := client.Get(ctx, "epic-maintenance", clientv3.WithCountOnly())
	if err != nil {
		return 0, fmt.Errorf("read the current revision: %w", err)
	}
	return now.Header.Revision, nil
}

// compact makes the member at endpoint forget all revisions before revision, and
// returns when its database has done so. Each member is asked itself: the others
// learn of a compaction, but only the one that serves the request waits for its own
// database, and what is not yet removed survives a defragmentation.
func compact(ctx context.Context, client *clientv3.Client, endpoint string, revision int64) error {
	conn, err := client.Dial(endpoint)
	if err != nil {
		return fmt.Errorf("connect to %s: %w", endpoint, err)
	}
	defer func() { _ = conn.Close() }()
	_, err = etcdserverpb.NewKVClient(conn).Compact(ctx, &etcdserverpb.CompactionRequest{Revision: revision, Physical: true})
	// A member that has compacted before refuses, but waits for its database all the
	// same.
	if err = clientv3.ContextError(ctx, err); err != nil && !errors.Is(err, rpctypes.ErrCompacted) {
		return fmt.Errorf("forget the revisions before %d at %s: %w", revision, endpoint, err)
	}
	return nil
}

// disarm ends the refusal of writes if each member has room, and reports whether there
// was one.
func disarm(ctx context.Context, client *clientv3.Client, members []Member) (bool, error) {
	alarms, err := client.AlarmList(ctx)
	if err != nil {
		return false, fmt.Errorf("list the alarms: %w", err)
	}
	disarmed := false
	for _, alarm := range alarms.Alarms {
		if alarm.Alarm != etcdserverpb.AlarmType_NOSPACE {
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
