"""The page's style sheet (a Python string: Flower's app bundle drops .css files)."""

# ruff: noqa: E501  (lines of CSS)

CSS = """
:root{--ink:#1a1d21;--soft:#5b626b;--faint:#8a929b;--line:#e1e4e8;--wash:#f6f7f8;--a:#5b626b;--b:#0072b2;--c:#c8501e;
--sans:-apple-system,"Segoe UI",Roboto,"Noto Sans","Helvetica Neue","Liberation Sans",Arial,sans-serif;
--mono:ui-monospace,"SF Mono",Menlo,Consolas,"Liberation Mono",monospace}
*{box-sizing:border-box}
html{color-scheme:light;-webkit-text-size-adjust:100%}
body{margin:0;background:#fff;color:var(--ink);font:16px/1.55 var(--sans);font-variant-numeric:tabular-nums}
main,header.top,footer{max-width:1120px;margin:0 auto;padding:0 28px}
header.top{padding-top:44px}
.over{font-size:13px;letter-spacing:.02em;color:var(--soft);margin:0 0 6px}
h1{font-size:34px;line-height:1.15;letter-spacing:-.018em;font-weight:650;margin:0 0 12px;max-width:24ch}
h2{font-size:22px;line-height:1.25;letter-spacing:-.01em;font-weight:650;margin:0 0 6px}
h3{font-size:16px;line-height:1.35;font-weight:650;margin:26px 0 6px}
h4{font-size:13px;font-weight:600;margin:0 0 2px;color:var(--ink)}
p{margin:0 0 10px;max-width:74ch}
a{color:var(--b)}
.facts{color:var(--soft);font-size:14.5px;max-width:none;margin-bottom:22px}
.facts span:not(:last-child)::after{content:"·";margin:0 4px 0 8px;color:var(--faint)}
section{padding:34px 0 0;margin:34px 0 0;border-top:1px solid var(--line)}
section.first{border:0;margin-top:22px;padding-top:0}
.lead{color:var(--soft);margin-bottom:18px}
.banner{border-left:5px solid;padding:10px 16px;margin:0 0 10px;background:#fdf3ee;border-color:var(--c)}
.banner strong{display:block;letter-spacing:.03em}
.banner.synthetic{background:#eef5fb;border-color:var(--b)}
.banner p{margin:0;max-width:none;font-size:15px}
.cards{display:grid;grid-template-columns:repeat(auto-fit,minmax(268px,1fr));gap:0 36px;margin:26px 0 8px}
.card{border-top:3px solid var(--k);padding:12px 0 14px}
.k-A{--k:var(--a)}.k-B{--k:var(--b)}.k-C{--k:var(--c)}
.card .kind{font-size:14px;font-weight:600;color:var(--k)}
.card .big{font-size:42px;line-height:1.1;font-weight:600;letter-spacing:-.025em;margin:8px 0 2px}
.card .big.none{font-size:22px;letter-spacing:0;color:var(--soft);padding:12px 0 6px}
.card .what{font-size:14px;line-height:1.45;margin:0 0 6px}
.card .against{font-size:13.5px;line-height:1.45;color:var(--soft);margin:0}
dl.verdict{margin:22px 0 0;display:grid;grid-template-columns:232px 1fr}
dl.verdict dt{font-weight:600;padding:10px 16px 10px 0;border-top:1px solid var(--line)}
dl.verdict dd{margin:0;padding:10px 0;border-top:1px solid var(--line)}
.panels{display:grid;grid-template-columns:repeat(auto-fill,minmax(300px,1fr));gap:22px 36px;margin:14px 0 6px;align-items:start}
.panels.four{grid-template-columns:repeat(auto-fill,minmax(236px,1fr));gap:18px 26px}
.panels.six{grid-template-columns:repeat(6,minmax(0,1fr));gap:14px 16px}
td.w,span.w{white-space:nowrap}
.panels.four h4{margin-bottom:5px}
th.n.wrap{white-space:normal;max-width:130px}
td.name.short{min-width:90px}
figure{margin:0;break-inside:avoid}
figure svg{display:block;width:100%;height:auto;max-width:420px;overflow:visible}
figure.wide svg{max-width:720px}
figcaption{font-size:13px;line-height:1.45;color:var(--soft);margin-top:4px;max-width:74ch}
figure.grey h4{color:var(--soft)}
.legend{font-size:13px;color:var(--soft);display:flex;flex-wrap:wrap;gap:4px 22px;margin:6px 0 12px}
.legend i{display:inline-block;vertical-align:middle;margin-right:7px}
.dot{width:9px;height:9px;border-radius:50%;background:var(--ink)}
.dot.square{border-radius:0}
.ring{width:10px;height:10px;border-radius:50%;border:1.5px solid var(--ink)}
.bar{width:20px;height:3px;background:var(--faint)}
.dash{width:0;height:14px;border-left:2px dashed var(--soft)}
.wall{width:3px;height:14px;background:var(--ink)}
.mark{width:9px;height:9px;border-radius:50%}
.mark.square{border-radius:0}.mark.diamond{border-radius:0;transform:rotate(45deg)}
.mark.up{border-radius:0;clip-path:polygon(50% 0,100% 100%,0 100%)}.mark.down{border-radius:0;clip-path:polygon(0 0,100% 0,50% 100%)}
.mark.plus{border-radius:0;clip-path:polygon(33% 0,66% 0,66% 33%,100% 33%,100% 66%,66% 66%,66% 100%,33% 100%,33% 66%,0 66%,0 33%,33% 33%)}
.said{max-width:none}
tr.head td{background:var(--wash);padding:7px 10px}
table.maps td.note{max-width:none;width:46%}table.maps td,table.maps th{padding-right:10px}table.maps th.wrap{max-width:84px}
table.named td.note{max-width:none;width:40%}
table.whatif td{min-width:100px}table.whatif td.note{max-width:none;width:36%}.line-item{display:block;margin:0 0 4px}
.scale{display:inline-block;width:120px;height:8px;vertical-align:middle;margin:0 8px;
background:linear-gradient(90deg,#cfd4da,#83b1d3,#3a7ca8,#a8501f,#551200)}
.scroll{overflow-x:auto;margin:10px 0 4px}
table{border-collapse:collapse;width:100%;font-size:14px;line-height:1.4}
th{font-weight:600;font-size:13px;color:var(--soft);text-align:left;vertical-align:bottom;padding:6px 16px 6px 0;
border-bottom:1.5px solid var(--ink)}
td{padding:7px 16px 7px 0;border-bottom:1px solid var(--line);vertical-align:top}
th:last-child,td:last-child{padding-right:0}
td.n,th.n{text-align:right;white-space:nowrap}
td .sub,.sub{display:block;color:var(--soft);font-size:12.5px;line-height:1.4}
tr.off td:not(.name){color:var(--soft)}
tr.on td{border-bottom-color:#f0f1f3}
tr.loud td{font-weight:600;color:#8c2a06}
td.ci{color:var(--soft);font-size:13px;white-space:nowrap}
td.note{color:var(--soft);font-size:13px;min-width:200px;max-width:380px}
td.name{min-width:170px;max-width:270px;overflow-wrap:anywhere}
td.metric{min-width:120px;max-width:200px}
.k{display:inline-block;min-width:1.5em;text-align:center;font-weight:650;color:#fff;background:var(--k);
font-size:13px;line-height:1.55;margin-right:9px;padding:0 5px}
.family{margin:0 0 18px}
.family h4{font-size:14.5px;margin:16px 0 0}
.asks{font-size:13.5px;color:var(--soft);margin:0 0 2px}
table.risk td.name{width:24%}table.risk td.w,table.risk td.ci{width:12%}table.risk td.metric{width:13%}table.risk td.n{width:6.5%}
details{margin:4px 0 10px}
summary{cursor:pointer;font-size:13px;color:var(--b);padding:4px 0}
.line{width:24px;height:0;border-top:2.4px solid var(--ink)}
.line.thin{border-top:1.4px solid var(--ink)}
.line.dashed{border-top:2px dashed var(--ink)}
.line.dashed.c{border-top-color:var(--c)}
.line.dotted{border-top:2px dotted var(--soft)}
.band{width:24px;height:12px;background:rgba(60,70,80,.16)}
ol.foot{columns:2;column-gap:40px;font-size:12.5px;line-height:1.45;color:var(--soft);padding-left:22px;margin:8px 0 0}
ol.foot li{break-inside:avoid;padding:0 0 2px}
sup{font-size:10.5px;line-height:0;margin-left:3px}
ul.plain{padding-left:18px;margin:8px 0}
ul.plain li{margin:0 0 6px;max-width:78ch}
.quiet{color:var(--soft);font-size:14px}
dl.terms{margin:10px 0;columns:2;column-gap:44px;font-size:14px}
dl.terms div{break-inside:avoid;padding:0 0 9px}
dl.terms dt{font-weight:600}
dl.terms dd{margin:0;color:var(--soft)}
code,pre{font-family:var(--mono);font-size:12.5px}
pre{white-space:pre-wrap;overflow-wrap:anywhere;background:var(--wash);padding:10px 14px;margin:8px 0}
td code{overflow-wrap:anywhere}
.cols{display:grid;grid-template-columns:1fr 1fr;gap:0 44px}
footer{padding-top:26px;padding-bottom:50px;color:var(--soft);font-size:13px}
@media (max-width:900px){.panels.six{grid-template-columns:repeat(auto-fill,minmax(190px,1fr))}}
@media (max-width:720px){
main,header.top,footer{padding-left:18px;padding-right:18px}
header.top{padding-top:26px}
h1{font-size:27px}
dl.verdict{grid-template-columns:1fr}
dl.verdict dt{padding-bottom:0}
dl.verdict dd{border:0;padding-top:2px}
dl.terms,ol.foot{columns:1}
.cols{grid-template-columns:1fr}
figure svg{max-width:100%}
.four figure svg,.six figure svg{max-width:330px}
}
@media print{
.panels.four{grid-template-columns:repeat(4,1fr);gap:8px 12px}.panels.six{grid-template-columns:repeat(3,1fr);gap:8px 14px}
@page{size:A4;margin:15mm 13mm}
body{font-size:10pt}
main,header.top,footer{max-width:none;padding-left:0;padding-right:0}
header.top{padding-top:0}
section{padding-top:16px;margin-top:16px}
h1{font-size:22pt}h2{font-size:14pt}h2,h3,h4{break-after:avoid}
table{font-size:8.5pt}th,td.note{font-size:8pt}
tr,.card,.banner,dl.verdict dd,dl.verdict dt{break-inside:avoid}
thead{display:table-header-group}
details::details-content{content-visibility:visible;display:block;height:auto}
summary{color:#000;list-style:none}
.scroll{overflow:visible}
.banner{background:none;border:1.5pt solid #000;border-left-width:5pt}
.panels{grid-template-columns:repeat(3,1fr);gap:12px 18px}.panels.bars{grid-template-columns:repeat(2,1fr)}
.cards{grid-template-columns:repeat(3,1fr)}
*{-webkit-print-color-adjust:exact;print-color-adjust:exact}
}
"""
