"""The page of the study as a Jinja2 template, with its style; nothing is loaded from elsewhere."""

TEMPLATE = """\
{% macro legend(names) %}
<p class="legend">{% for number, name in names %}
<span class="t{{ number % 6 }}">{{ name }}</span>{% endfor %}</p>
{% endmacro %}
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>{{ title }}</title>
<style>
:root { color-scheme: light dark; --paper: #fff; --ink: #1b1f24; --soft: #59636e; --rule: #d8dee4;
  --0: #0067a3; --1: #b84a00; --2: #00795a; --3: #a3487c; --4: #8a6100; --5: #5b5bd6; }
@media (prefers-color-scheme: dark) { :root { --paper: #14171b; --ink: #e8eaed; --soft: #a2abb6;
  --rule: #363c44; --0: #5cb8f2; --1: #ff9248; --2: #3ecf9e; --3: #ec8fc2; --4: #e3b341;
  --5: #a3a3ff; } }
body { background: var(--paper); color: var(--ink); font: 16px/1.5 system-ui, sans-serif;
  margin: 0 auto; max-width: 64rem; padding: 1.5rem 1rem 4rem; }
h1 { font-size: 1.6rem; line-height: 1.25; } h2 { font-size: 1.2rem; margin-top: 2.5rem; }
h3 { font-size: 1rem; margin: 1.5rem 0 0.25rem; }
p { max-width: 44rem; } .soft, .legend, figcaption { color: var(--soft); }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; width: 100%; }
th, td { border-bottom: 1px solid var(--rule); padding: 0.3rem 0.6rem; text-align: left;
  white-space: nowrap; }
td.n, th.n { text-align: right; }
.charts { display: grid; gap: 1rem; grid-template-columns: repeat(auto-fit, minmax(20rem, 1fr)); }
figure { margin: 0; } svg { display: block; width: 100%; } figcaption { font-size: 0.85rem; }
.grid { stroke: var(--rule); stroke-width: 1; } .label { fill: var(--soft); font-size: 11px; }
.line { fill: none; stroke: currentColor; stroke-width: 2; }
.cloud, .dense { fill: none; stroke: currentColor; stroke-linecap: round; stroke-width: 3.2; }
.dense { stroke-opacity: 0.5; }
.dot { fill: currentColor; } .chance { color: var(--soft); stroke-dasharray: 4 3; }
.legend span { font-weight: 600; }
.legend { display: flex; flex-wrap: wrap; gap: 0 1rem; margin: 0.5rem 0; }
.t0 { color: var(--0); } .t1 { color: var(--1); } .t2 { color: var(--2); }
.t3 { color: var(--3); } .t4 { color: var(--4); } .t5 { color: var(--5); }
</style>
</head>
<body>
<h1>{{ title }}</h1>
<p>Every shower was judged by a model that never saw a shower of its run, every image by one that
never saw it. Intervals hold 95 % and come from a bootstrap over whole runs, or over images.</p>

<h2>The models side by side</h2>
<div class="scroll"><table>
<thead><tr><th>task</th><th>model</th><th class="n">events</th><th>ROC AUC</th>
<th>balanced accuracy</th><th>accuracy</th><th class="n">larger class</th></tr></thead>
<tbody>
{% for task in tasks %}{% for row in task.rows %}
<tr><td>{{ task.name if loop.first else "" }}</td><td>{{ row.model }}</td>
<td class="n">{{ row.events }}</td><td>{{ row.roc_auc }}</td><td>{{ row.balanced_accuracy }}</td>
<td>{{ row.accuracy }}</td><td class="n">{{ row.majority }}</td></tr>
{% endfor %}{% endfor %}
</tbody></table></div>

{% for task in tasks %}
<h2>{{ task.name }}</h2>
<p class="soft">{{ task.counts }}</p>
{{ legend(task.models) }}
<div class="charts">
<figure>{{ task.intervals }}
<figcaption>Area under the ROC curve with its interval.</figcaption></figure>
<figure>{{ task.curves }}
<figcaption>ROC curves, the mean of the folds; dashed, chance.</figcaption></figure>
{% if task.trials %}
<figure>{% if task.tuned != task.models %}{{ legend(task.tuned) }}{% endif %}{{ task.trials }}
<figcaption>The searches: the best area under the ROC curve so far, in a cross-validation of what
a fold learns from; the mean of the folds.</figcaption></figure>
{% endif %}
{% for cloud in task.clouds %}
<figure>{{ legend(task.classes) }}{{ cloud.chart }}
<figcaption>{{ cloud.kind }}: two numbers for each event, learned without the classes; mean square
error {{ cloud.error }}. The outer 1 % at each side is left out.</figcaption></figure>
{% endfor %}
</div>
{% endfor %}

{% if rates %}
<h2>The flux of cosmic rays</h2>
<p>The showers were simulated with as many in each decade of energy. Weighted with the flux H3a,
which falls steeply, this is how many vertical ones would come with a bundle of at least
{{ min_muons }} muons. Errors are those of the number of showers;
where few count, they are large.</p>
<div class="scroll"><table>
<thead><tr><th>primary</th><th class="n">showers</th><th class="n">with a bundle</th>
<th class="n">per km² s sr</th></tr></thead>
<tbody>{% for row in rates %}
<tr><td>{{ row.primary }}</td><td class="n">{{ row.showers }}</td>
<td class="n">{{ row.bundles }}</td><td class="n">{{ row.rate }}</td></tr>{% endfor %}
</tbody></table></div>
{% endif %}

{% if hadronic %}
<h2>Hadronic models</h2>
<p>{{ events }} first interactions with air at {{ energy }} GeV each. Shares of the projectile's
energy: charged pions and kaons are the ancestors of muons, the leading particle carries on. Errors
are standard errors of the mean.</p>
<div class="scroll"><table>
<thead><tr><th>projectile</th><th>model</th><th class="n">production, mb</th>
<th>charged particles</th><th>charged pions</th><th>kaons</th><th>leading</th></tr></thead>
<tbody>{% for group in hadronic %}{% for row in group.rows %}
<tr><td>{{ group.name if loop.first else "" }}</td><td>{{ row.model }}</td>
<td class="n">{{ row.cross_section }}</td><td>{{ row.charged }}</td><td>{{ row.pions }}</td>
<td>{{ row.kaons }}</td><td>{{ row.leading }}</td></tr>{% endfor %}{% endfor %}
</tbody></table></div>
<div class="charts">{% for group in hadronic %}
<figure>{{ legend(group.models) }}{{ group.chart }}
<figcaption>{{ group.name }} in air.</figcaption></figure>
{% endfor %}</div>
{% endif %}

<h2>Data</h2>
<p>Showers: CORSIKA 7.75, from the source archive of corsika-panama 1.0.4 (MIT licence), unless
other
files were named. Images: MAGIC Gamma Telescope, R. Bock, UCI Machine Learning Repository,
doi:10.24432/C52C8B (CC BY 4.0).</p>
</body>
</html>
"""
