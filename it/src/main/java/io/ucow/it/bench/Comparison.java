package io.ucow.it.bench;

import java.util.OptionalDouble;

/**
 * How ucow fares in one row of the tables.
 *
 * @param qemu times as fast as the better of QEMU's variants
 * @param nativeLoop times as fast as the raw copy
 * @param passThrough times as fast as the transport alone
 * @param qemuP99 times as long at the 99th percentile as that variant of QEMU; below 1 is better
 */
record Comparison(OptionalDouble qemu, OptionalDouble nativeLoop, OptionalDouble passThrough, OptionalDouble qemuP99) {
    /** @param ucow the transport that is compared */
    static Comparison of(Results results, Metric metric, Target ucow) {
        OptionalDouble none = OptionalDouble.empty();
        Target qemu = results.best(metric, Target.Family.QEMU).orElse(null);
        Target plain = results.best(metric, Target.Family.NATIVE).orElse(null);
        Target alone = results.best(metric, Target.Family.PASS_THROUGH).orElse(null);
        return new Comparison(
                qemu == null ? none : results.rateRatio(metric, ucow, qemu),
                plain == null ? none : results.rateRatio(metric, ucow, plain),
                alone == null ? none : results.rateRatio(metric, ucow, alone),
                qemu == null ? none : results.p99Ratio(metric, ucow, qemu));
    }
}
