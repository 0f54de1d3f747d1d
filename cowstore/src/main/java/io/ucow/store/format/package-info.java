/**
 * Byte layouts of ucow's own format, version 1: {@link io.ucow.store.format.Superblock},
 * {@link io.ucow.store.format.JournalRecord} and {@link io.ucow.store.format.MapPage}. No I/O and no policy; the prose
 * is in {@code docs/FORMAT.md}.
 *
 * <pre>
 *   0        4K       8K      64K                  data start, a multiple of the chunk size
 *   | super 0 | super 1 | zeros | journal ring ... | slot | slot | slot of map pages | slot ...
 * </pre>
 *
 * <p>All integers are little-endian. Threading: static methods and immutable records.
 */
package io.ucow.store.format;
