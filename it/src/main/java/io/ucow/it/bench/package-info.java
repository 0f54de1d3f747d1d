/**
 * The benchmark that {@code bin/bench} runs: the same jobs on ucow and its peers, through the same kind of loop device, in
 * turn within each round, so that what disturbs the machine disturbs all of them. What counts are ratios inside one run.
 *
 * <pre>
 *   BenchCommand --&gt; Runner --&gt; for each round, stage, target: Target.attach, the stage's jobs, Attachment.close
 *                      |          Fio, Bonnie --&gt; Sample
 *                      v
 *                   Results --&gt; MarkdownReport, JsonReport, SvgPlot
 * </pre>
 *
 * <p>Start at {@link io.ucow.it.bench.Stage} (which job finds its device in which state) and
 * {@link io.ucow.it.bench.Targets} (the peers). {@link io.ucow.it.bench.Scratch} is where all of it lives, and how all of it
 * is taken away again, however the run ends.
 *
 * <p>Threading: one thread runs the benchmark; a signal's thread takes everything away.
 */
package io.ucow.it.bench;
