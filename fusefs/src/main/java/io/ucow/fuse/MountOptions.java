package io.ucow.fuse;

import io.ucow.store.CacheMode;
import io.ucow.sys.Libc;

/**
 * How a mount is to be.
 *
 * @param allowOther true to let users other than the mounting one look inside, which modes then decide. Ordinary users
 *     need {@code user_allow_other} in {@code /etc/fuse.conf} for it
 * @param cache what the kernel may keep of the files' data, where the transport leaves it a choice
 */
public record MountOptions(boolean allowOther, CacheMode cache) {
    /** What suits this process: root lets others in, so that daemons that dropped privileges reach their disk. */
    public static MountOptions of(CacheMode cache) {
        return new MountOptions(Libc.geteuid() == 0, cache);
    }
}
