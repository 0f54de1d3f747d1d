/**
 * How chunks are made smaller: {@link io.ucow.store.codec.Lz4Codec} alone knows the library that does it. What is around
 * the compressed bytes in a file is {@link io.ucow.store.format.PackedChunk}'s.
 *
 * <p>Threading: codecs have no state.
 */
package io.ucow.store.codec;
