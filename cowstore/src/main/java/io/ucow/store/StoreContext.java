package io.ucow.store;

import java.util.UUID;

/**
 * What a store is given when it is opened.
 *
 * @param readOnly change nothing, recover in memory only
 * @param bootId the kernel's boot id: what was written in this boot is still in the page cache
 * @param readers sections that requests run in; a freed slot is reused only after a grace period
 * @param background whether the store may run its own maintenance thread (checkpoints, giving space back); without it
 *     maintenance happens in the calls that need it, which makes a test repeatable, and what is written is expected to be
 *     synced by a close soon
 */
public record StoreContext(boolean readOnly, UUID bootId, GracePeriod readers, boolean background) {}
