package action.mobile.app.device

import action.mobile.recognizer.Battery
import action.mobile.recognizer.DeviceFacts
import action.mobile.recognizer.Probe
import action.mobile.recognizer.Thermal
import android.app.ActivityManager
import android.content.Context
import android.os.BatteryManager
import android.os.Build
import android.os.Debug
import android.os.PowerManager
import java.io.File
import java.io.IOException

/** What Android tells an app about the device and the state that it is in. */
class SystemProbe(context: Context) : Probe {
    private val power = context.getSystemService(PowerManager::class.java)
    private val batteries = context.getSystemService(BatteryManager::class.java)
    private val activities = context.getSystemService(ActivityManager::class.java)

    /** The device, as a report names it. */
    fun device() = DeviceFacts(
        model = modelName(Build.MANUFACTURER, Build.MODEL),
        soc = chip(),
        cores = Runtime.getRuntime().availableProcessors(),
        memoryBytes = ActivityManager.MemoryInfo().also(activities::getMemoryInfo).totalMem,
        os = "Android",
        osVersion = Build.VERSION.RELEASE,
        osBuild = Build.FINGERPRINT,
    )

    /** The kernel's figure; PSS, which shares out what several processes use, where it is not told. */
    override fun residentBytes(): Long? =
        statusBytes(status(), "VmRSS") ?: (Debug.getPss() * KIBIBYTE).takeIf { it > 0 }

    override fun peakBytes(): Long? = statusBytes(status(), "VmHWM")

    /** No temperature: Android tells an app how hot the device feels, not how hot the chip is. */
    override fun thermal() = Thermal(thermalWord(power.currentThermalStatus))

    override fun powerMode() = if (power.isPowerSaveMode) "low power" else "normal"

    override fun battery() = Battery(
        level = batteryLevel(batteries.getIntProperty(BatteryManager.BATTERY_PROPERTY_CAPACITY)),
        charging = batteries.isCharging,
    )

    private fun status(): String = try {
        File("/proc/self/status").readText()
    } catch (_: IOException) {
        ""
    }

    /** Told since Android 12; by name, so that everything here compiles against minSdk's classes. */
    private fun chip(): String? = try {
        (Build::class.java.getField("SOC_MODEL").get(null) as? String)?.takeUnless { it == Build.UNKNOWN }
    } catch (_: ReflectiveOperationException) {
        null
    }
}
