package io.ucow.it.bench;

import java.nio.file.Path;

/**
 * An overlay, and the programs that move what it holds.
 *
 * @param file the overlay's
 * @param flatten writes the whole disk to the scratch directory's {@code out.img}, which is not there
 * @param commit writes what the overlay holds into its base
 */
record Movable(Path file, Program flatten, Program commit) {}
