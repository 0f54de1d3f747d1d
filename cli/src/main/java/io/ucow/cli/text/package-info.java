/**
 * What the command line prints and reads: sizes, tables, JSON, pictures. Nothing here does any I/O of its own.
 *
 * <p>Start at {@link io.ucow.cli.text.ImageJson} (the JSON of images and extents, both ways), {@link
 * io.ucow.cli.text.MapSvg} (the picture of what is altered) and {@link io.ucow.cli.text.Sizes}.
 *
 * <pre>
 *   ImageInfo, MapExtent ---&gt; ImageJson ---&gt; --json, and the daemon's socket, and back
 *                        ---&gt; InfoText, MapText, MapSvg
 *   counters ---&gt; RecordJson ---&gt; --json, and the daemon's socket ---&gt; StatusText
 * </pre>
 *
 * <p>Threading: objects are for one thread, static methods for any.
 */
package io.ucow.cli.text;
