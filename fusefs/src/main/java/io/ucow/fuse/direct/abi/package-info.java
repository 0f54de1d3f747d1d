/**
 * The layouts of FUSE's kernel protocol, one class for each structure: offsets and accessors, no I/O and no policy.
 *
 * <p>A buffer given to a {@code *In} class starts where its structure does; an {@link io.ucow.fuse.direct.abi.InHeader}
 * precedes it. All numbers are in host order. Names are the kernel's, so that grep finds both sides. Source of all:
 * {@code include/uapi/linux/fuse.h}, protocol 7.31 to 7.44.
 *
 * <p>Threading: no state.
 */
package io.ucow.fuse.direct.abi;
