/**
 * The in-memory map from chunk to place: {@link io.ucow.store.remap.RemapTable}, outside the heap, and the packed
 * long it is made of, {@link io.ucow.store.remap.RemapEntry}; which parts of a chunk its slot has is said in
 * {@link io.ucow.store.remap.Blocks}. Making it durable is left to {@code journal}.
 *
 * <pre>
 *   chunk --&gt; RemapTable: [ entry | entry | entry ... ]   one long each, pages supplied by the kernel when altered
 *                             |
 *                             +-- dirty bits, one for each leaf and for each node above it: what a checkpoint visits
 * </pre>
 *
 * <p>Threading: lookups and publications are lock-free and allocate nothing.
 */
package io.ucow.store.remap;
