// Stand-in for UIKit and QuartzCore: what the app uses of them, with the iOS that has it first.
@_exported import AppleFoundation

@MainActor open class UIView: NSObject {  // iOS 2.0
    public override init() {}  // iOS 2.0
    open var layer: CALayer { fatalError() }  // iOS 2.0
    open class var layerClass: AnyClass { fatalError() }  // iOS 2.0
    open func layoutSubviews() {}  // iOS 2.0
}
open class CGColor {}  // iOS 2.0
open class CALayer: NSObject {  // iOS 2.0
    public override init() {}  // iOS 2.0
    open var frame: CGRect = .zero  // iOS 2.0
    open var borderWidth: CGFloat = 0  // iOS 3.0
    open var borderColor: CGColor?  // iOS 3.0
    open func addSublayer(_ layer: CALayer) {}  // iOS 2.0
}
open class UIColor: NSObject, @unchecked Sendable {  // iOS 2.0
    open class var white: UIColor { fatalError() }  // iOS 2.0
    open var cgColor: CGColor { fatalError() }  // iOS 2.0
}
@MainActor public final class UIApplication: NSObject {  // iOS 2.0
    public static let shared = UIApplication()  // iOS 2.0
    public static let openSettingsURLString = ""  // iOS 8.0
    public var isIdleTimerDisabled = false  // iOS 2.0
}
@MainActor public final class UIDevice: NSObject {  // iOS 2.0
    public enum BatteryState: Int, Sendable { case unknown, unplugged, charging, full }  // iOS 3.0
    public static let current = UIDevice()  // iOS 2.0
    public var isBatteryMonitoringEnabled = false  // iOS 3.0
    public var batteryLevel: Float { fatalError() }  // iOS 3.0
    public var batteryState: BatteryState { fatalError() }  // iOS 3.0
    public var systemName: String { fatalError() }  // iOS 2.0
}
