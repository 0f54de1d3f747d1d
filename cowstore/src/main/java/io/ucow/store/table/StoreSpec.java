package io.ucow.store.table;

import java.nio.file.Path;
import java.util.Optional;

/**
 * The store that a table wants behind an ident.
 *
 * @param ident the ident of its targets
 * @param base read-only image behind the store; empty for a store over zeros
 * @param store the store's file
 * @param chunkBytes chunk size, a power of two from 4 KiB to 1 MiB
 * @param sizeBytes end of the ident's last target on any device: the size to create, and the least to accept, less up
 *     to 511 bytes of a partial last sector
 */
public record StoreSpec(String ident, Optional<Path> base, Path store, int chunkBytes, long sizeBytes) {}
