/**
 * Devices given as device-mapper tables, in dm-cow's syntax: parsing, serving and printing them.
 *
 * <p>Start at {@link io.ucow.store.table.TableParser} (text to {@link io.ucow.store.table.DeviceTable}s),
 * {@link io.ucow.store.table.TableDevices} (tables to {@link io.ucow.store.table.TableDevice}s) and
 * {@link io.ucow.store.table.TablePrinter} (tables and altered runs to text).
 *
 * <pre>
 *   [NAME: ]START LENGTH cow IDENT BASE COWDEV CHUNK     copy-on-write; BASE - for a store over zeros
 *   [NAME: ]START LENGTH linear DEV OFFSET               a range of a file or block device, in place
 *   [NAME: ]START LENGTH zero                            zeros; writes are dropped
 *
 *   text --TableParser--&gt; DeviceTable --TableDevices--&gt; TableDevice --+-- ImageOpener --&gt; CowDevice, one per IDENT
 *    ^                        |                                       +-- LinearDevice, one per DEV
 *    +------TablePrinter------+                                       +-- ZeroDevice
 * </pre>
 *
 * <p><b>Lines.</b> All numbers are in sectors of 512 bytes. A {@code #} begins a comment, a backslash takes the next
 * character as it is. BASE, COWDEV and DEV are paths, relative to the working directory, or {@code MAJOR:MINOR} of a
 * block device. In a {@code NAME: } prefix, bytes may be written {@code \xHH} as {@code dmsetup} does. All lines have
 * the prefix, or none and are one device.
 *
 * <p><b>Meaning.</b>
 * <ul>
 *   <li>Sector s of a {@code cow} target is sector s of the store, and reads sector s of the base until it is written:
 *       START is no offset that is taken away. A device may therefore be cut at any chunk without a change.
 *   <li>Targets with one IDENT share one store, also across the devices of one input, and agree on BASE, COWDEV and
 *       CHUNK. A COWDEV belongs to one IDENT.
 *   <li>A {@code linear} target into the COWDEV of a {@code cow} target of the same device is an altered run of it, as
 *       {@code ucow table} prints them. It is served through the store, which knows where the chunks are now; OFFSET
 *       says where they were. A printed table thus stays true when the store moves them.
 *   <li>A file that is the BASE of a line is written by none: not COWDEV, not DEV.
 *   <li>{@code linear} locks its DEV, as a store its file: what is written has one writer.
 * </ul>
 *
 * <p><b>Partial sectors.</b> A device whose size is no multiple of 512 is printed with its last sector counted as
 * whole, in a {@code cow} target. Opening that table gives the old size back: a device ends where its store ends if that
 * is in the last sector of the last target. A {@code linear} DEV counts whole sectors only.
 *
 * <p>Whether a store has to be made, and how, is left to the {@link io.ucow.store.table.TargetOpener}. Threading:
 * parsing, opening and printing are for one thread each; the devices are for any number.
 */
package io.ucow.store.table;
